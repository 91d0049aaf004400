import { crc32c } from '../lib/crc32c.ts'
import { BLOCK_BYTES, FIRST_PRESENT } from './layout.ts'

const BYTE_VALUES = 256
const WORD_BITS = 32

/** What a CRC32C becomes when a block of zeroes follows: linear, so by byte of the checksum. */
const [LOW, SECOND, THIRD, HIGH] = shiftTables()

function shiftTables(): readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array] {
  const zeroes = Buffer.alloc(BLOCK_BYTES)
  const ofNothing = crc32c(zeroes)
  const bits = Array.from({ length: WORD_BITS }, (_, bit) => {
    return (crc32c(zeroes, 0, BLOCK_BYTES, (1 << bit) >>> 0) ^ ofNothing) >>> 0
  })
  const table = (shift: number) => {
    const values = new Uint32Array(BYTE_VALUES)
    for (let value = 0; value < BYTE_VALUES; value++) {
      for (let bit = 0; bit < 8; bit++) if ((value >>> bit) & 1) values[value]! ^= bits[shift + bit]!
    }
    return values
  }
  return [table(0), table(8), table(16), table(24)]
}

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
    // The checksum of two pieces is that of the first, moved on by the length of the second, and the second's.
    expected =
      LOW[expected & 0xff]! ^
      SECOND[(expected >>> 8) & 0xff]! ^
      THIRD[(expected >>> 16) & 0xff]! ^
      HIGH[expected >>> 24]! ^
      entry
  }
  return crc32c(bytes, at, count * BLOCK_BYTES) === expected >>> 0
}
