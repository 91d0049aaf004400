/** Exactly what RECEIVE COPY RESULTS and VPD page 8Fh report. */
export const CSCD_DESCRIPTORS_MAX = 16
export const SEGMENT_DESCRIPTORS_MAX = 64
export const CSCD_DESCRIPTOR_BYTES = 32
/** What an identification descriptor holds of a designator; a longer one is cut. SPC-5 §6.4.6.2. */
export const DESIGNATOR_BYTES_MAX = 20
/** Both lists at their longest. */
export const DESCRIPTOR_LIST_BYTES_MAX =
  (CSCD_DESCRIPTORS_MAX + SEGMENT_DESCRIPTORS_MAX) * CSCD_DESCRIPTOR_BYTES
/** What sixteen bits count of the largest blocks. */
export const SEGMENT_BYTES_MAX = 0xffff * 4096
/** EXTENDED COPY commands at one logical unit at a time; each holds COPY_PIECE_BYTES. */
export const COPIES_MAX = 16
/** Read, then written: what one copy holds in memory. */
export const COPY_PIECE_BYTES = 2 ** 20
/** Ended copies of one I_T nexus whose results are held; the oldest gives way. */
export const COPY_RESULTS_MAX = 64

/** Identification descriptor. SPC-5 §6.4.6.2. */
export const CSCD_IDENTIFICATION = 0xe4
/** Block device to block device. SPC-5 §6.4.7.6. */
export const SEGMENT_BLOCK_TO_BLOCK = 0x02
/** In place of an index: the logical unit that carries out the copy. SPC-5 §6.4.5. */
export const CSCD_ID_SELF = 0xffff
