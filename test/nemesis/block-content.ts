export const BLOCK_BYTES = 4096
const MAGIC = 0x686f6c64

/** A block that tells which block it is and which write made it, in each of its sectors. Value 0 is all zeroes. */
export function fillBlock(into: Buffer, block: number, value: number): void {
  into.fill(0)
  if (value === 0) return
  for (let at = 0; at < BLOCK_BYTES; at += 16) {
    into.writeUInt32LE(MAGIC, at)
    into.writeUInt32LE(block, at + 4)
    into.writeUInt32LE(value, at + 8)
    into.writeUInt32LE(at, at + 12)
  }
}

/** The value that a whole block holds, or a sentence about what is wrong with it. */
export function blockValue(data: Buffer, block: number): number | string {
  const value = data.readUInt32LE(0) === MAGIC ? data.readUInt32LE(8) : 0
  const expected = Buffer.alloc(BLOCK_BYTES)
  fillBlock(expected, block, value)
  if (data.equals(expected)) return value
  const at = data.findIndex((byte, i) => byte !== expected[i])
  return `block ${block} is torn or foreign from byte ${at}: ${data.subarray(at & ~15, (at & ~15) + 16).toString('hex')}`
}
