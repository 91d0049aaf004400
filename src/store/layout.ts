/** Format 1 of a brick, in numbers. docs/design/001-brick-format.md */

export const BLOCK_BYTES = 4096
/** Unit of stamps and of space accounting. */
export const REGION_BYTES = 256 * 1024
/** Unit of activity and of clearing. */
export const SEGMENT_BYTES = 4 * 1024 * 1024
/** An extent of a volume, a slot of a brick. */
export const SLOT_BYTES = 64 * 1024 * 1024
/** Unit of placement; has a descriptor. */
export const RANGE_BYTES = 4 * 1024 ** 3

export const BLOCKS_PER_REGION = REGION_BYTES / BLOCK_BYTES
export const BLOCKS_PER_SEGMENT = SEGMENT_BYTES / BLOCK_BYTES
export const BLOCKS_PER_SLOT = SLOT_BYTES / BLOCK_BYTES
export const REGIONS_PER_SEGMENT = SEGMENT_BYTES / REGION_BYTES
export const REGIONS_PER_SLOT = SLOT_BYTES / REGION_BYTES
export const SEGMENTS_PER_SLOT = SLOT_BYTES / SEGMENT_BYTES
export const SEGMENTS_PER_RANGE = RANGE_BYTES / SEGMENT_BYTES
export const ALL_SEGMENTS = 2 ** SEGMENTS_PER_SLOT - 1

/** Slots in one data file: 1 TiB, because ext4 ends at 16 TiB. */
export const SLOTS_PER_BANK = 16_384

export const PAGE_BYTES = 4096
export const CHECKSUM_BYTES = 4
export const CHECKSUM_BYTES_PER_SLOT = BLOCKS_PER_SLOT * CHECKSUM_BYTES
export const SLOTS_PER_STAMP_PAGE = 3

/** Checksum entries that are no checksums: 0 is never written, and this one zeroed or trimmed. */
export const KNOWN_ZERO = 1
export const FIRST_PRESENT = 2

/** A stamp that the owner's first message turns into the current generation (PROTOCOL rule 11). */
export const STAMP_UNKNOWN = 0xffffffff

/** The slot-sized area before the first slot holds the header, so that slots stay aligned to 64 MiB. */
export function slotDataAt(index: number): number {
  return (index + 1) * SLOT_BYTES
}

export function slotChecksumsAt(index: number): number {
  return PAGE_BYTES + index * CHECKSUM_BYTES_PER_SLOT
}

export function stampPageAt(page: number): number {
  return PAGE_BYTES + page * PAGE_BYTES
}

/** The checksum entry of a block: 0 and 1 mean something else and are moved out of the way. */
export function entryOf(crc: number): number {
  return crc < FIRST_PRESENT ? crc + FIRST_PRESENT : crc
}

/** Which data file a slot lies in, and where in it. */
export function bankOf(slot: number): number {
  return Math.floor(slot / SLOTS_PER_BANK)
}

export function indexOf(slot: number): number {
  return slot % SLOTS_PER_BANK
}
