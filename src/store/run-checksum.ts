import { withBlock } from '../lib/block-checksums.ts'
import { crc32c } from '../lib/crc32c.ts'
import { BLOCK_BYTES, FIRST_PRESENT } from './layout.ts'

/**
 * Whether `count` blocks at `bytes[at...]` hold what their checksum entries from `first` on say, by one checksum
 * over all of them: a call per block costs a fifth more. False also where an entry is no plain checksum, which
 * the caller looks at block by block.
 */
export function runHolds(
  entries: Uint32Array,
  first: number,
  count: number,
  bytes: Buffer,
  at: number,
): boolean {
  let expected = 0
  for (let i = first; i < first + count; i++) {
    const entry = entries[i]!
    if (entry < FIRST_PRESENT) return false
    expected = withBlock(expected, entry)
  }
  return crc32c(bytes, at, count * BLOCK_BYTES) === expected
}
