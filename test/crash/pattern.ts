/** What the workload writes: every block says which operation wrote it and which block of which volume it is. */
export const BLOCK_BYTES = 4096
const MAGIC = 0x44464c48
const ZEROES = Buffer.alloc(BLOCK_BYTES)

/** Fills `into[at, at + 4096)` with the content of one block as operation `id` writes it. */
export function fillBlock(into: Buffer, at: number, id: number, volume: number, block: number): void {
  const words = new Uint32Array(into.buffer, into.byteOffset + at, BLOCK_BYTES / 4)
  for (let word = 0; word < words.length; word += 4) {
    words[word] = MAGIC
    words[word + 1] = id
    words[word + 2] = volume
    words[word + 3] = block ^ word
  }
}

export const NOT_OURS = -1
export const ALL_ZERO = 0

const scratch = Buffer.alloc(BLOCK_BYTES)

/** The id of the operation that wrote this block whole, ALL_ZERO, or NOT_OURS. Ids begin at 1. */
export function writerOf(from: Buffer, at: number, volume: number, block: number): number {
  const content = from.subarray(at, at + BLOCK_BYTES)
  if (content.equals(ZEROES)) return ALL_ZERO
  const id = content.readUInt32LE(4)
  fillBlock(scratch, 0, id, volume, block)
  return content.equals(scratch) ? id : NOT_OURS
}

/** For a failure message: what a block that is not what it should be looks like. */
export function describeBlock(from: Buffer, at: number): string {
  const word = (index: number) => from.readUInt32LE(at + 4 * index)
  if (word(0) !== MAGIC) return `bytes ${from.toString('hex', at, at + 16)}`
  return `operation ${word(1)}'s block ${word(3)} of volume ${word(2)}, or a mix with it`
}
