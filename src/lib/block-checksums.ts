import { crc32c } from './crc32c.ts'

/** What a brick keeps a checksum of. */
export const CHECKSUM_BLOCK_BYTES = 4096

const BYTE_VALUES = 256
const WORD_BITS = 32

/** What a CRC32C becomes when a block of zeroes follows: linear, so by byte of the checksum. */
const [LOW, SECOND, THIRD, HIGH] = shiftTables()

function shiftTables(): readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array] {
  const zeroes = Buffer.alloc(CHECKSUM_BLOCK_BYTES)
  const ofNothing = crc32c(zeroes)
  const bits = Array.from({ length: WORD_BITS }, (_, bit) => {
    return (crc32c(zeroes, 0, CHECKSUM_BLOCK_BYTES, (1 << bit) >>> 0) ^ ofNothing) >>> 0
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

/** CRC32C of some blocks and one more, from that of those blocks (0 of none) and that of the one. */
export function withBlock(before: number, ofBlock: number): number {
  return (
    (LOW[before & 0xff]! ^
      SECOND[(before >>> 8) & 0xff]! ^
      THIRD[(before >>> 16) & 0xff]! ^
      HIGH[before >>> 24]! ^
      ofBlock) >>>
    0
  )
}

/** CRC32C of `count` blocks at `bytes[at...]`, each of which puts its own into `into`, from 0 on. */
export function checksumBlocks(bytes: Buffer, at: number, count: number, into: Uint32Array): number {
  let all = 0
  for (let i = 0; i < count; i++) {
    const ofBlock = crc32c(bytes, at + i * CHECKSUM_BLOCK_BYTES, CHECKSUM_BLOCK_BYTES)
    into[i] = ofBlock
    all = withBlock(all, ofBlock)
  }
  return all
}
