/** What this device server takes in one command; VPD page B0h reports exactly these. SBC-4 §6.6.4. */
export const TRANSFER_BYTES_MAX = 8 * 2 ** 20
/** Where one command is fastest: a whole number of network segments and of the brick's checksum pages. */
export const TRANSFER_BYTES_OPTIMAL = 2 ** 20
/** The block of the brick: smaller writes cost a read-modify-write. */
export const PHYSICAL_BLOCK_BYTES = 4096
/** The NUMBER OF LOGICAL BLOCKS field of COMPARE AND WRITE has eight bits. */
export const COMPARE_AND_WRITE_BLOCKS_MAX = 255
/** A record of the brick's journal holds 1 MiB: this many blocks of the largest size. SBC-4 §4.29. */
export const ATOMIC_WRITE_BLOCKS_MAX = 256
export const UNMAP_BLOCKS_MAX = 2 ** 20
export const UNMAP_DESCRIPTORS_MAX = 256
/** Written out in pieces when the pattern is not all zeroes, so it bounds how long one command takes. */
export const WRITE_SAME_BYTES_MAX = 16 * 2 ** 20
/** What WRITE SAME and VERIFY hold in memory of a repeated block or of what they read. */
export const PIECE_BYTES = 256 * 1024
/** What one PRE-FETCH reads of its range: as much as a READ could then ask for. */
export const PRE_FETCH_BYTES_MAX = 8 * 2 ** 20
/** LUNs that the flat space addressing method reaches. SAM-5 §4.7.7. */
export const LUN_MAX = 16383
/** Initiator ports that one target remembers having told of a restart; any further are not told. */
export const TOLD_PORTS_MAX = 4096
/** Longest parameter list that MODE SELECT looks at. */
export const MODE_PARAMETERS_BYTES_MAX = 4096
