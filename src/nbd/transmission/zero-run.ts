import { SLAB_READ_BYTES_MAX } from '../limits.ts'

const ZEROES = Buffer.alloc(SLAB_READ_BYTES_MAX)

/** Is `bytes[at, at + lengthBytes)` all zeroes? At most SLAB_READ_BYTES_MAX; data mostly ends the look at once. */
export function isZero(bytes: Buffer, at: number, lengthBytes: number): boolean {
  if (bytes[at] !== 0 || bytes[at + lengthBytes - 1] !== 0) return false
  return bytes.compare(ZEROES, 0, lengthBytes, at, at + lengthBytes) === 0
}
