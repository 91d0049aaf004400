import { crc32c } from '../../lib/crc32c.ts'
import { BLOCK_BYTES, entryOf, FIRST_PRESENT } from '../layout.ts'

const ENTRY_OF_ZEROES = entryOf(crc32c(Buffer.alloc(BLOCK_BYTES)))

/**
 * What a checksum entry says of its block's content: 0 for one that reads as zeroes, whether it was never written,
 * trimmed, or written so. Blocks of equal contents have equal ones on any two bricks.
 */
export function contentOf(entry: number): number {
  return entry < FIRST_PRESENT || entry === ENTRY_OF_ZEROES ? 0 : entry
}
