const SMALLEST_BITS = 12
/** Every buffer has this much more than a power of two: a payload of such a size and the header before it. */
export const POOL_HEADROOM_BYTES = 4096

/**
 * Buffers of powers of two from 4 KiB, each with its headroom, used again. Freed ones are kept up to a number of bytes; above it they
 * go to the garbage collector.
 */
export class BufferPool {
  readonly #retainedBytesMax: number
  readonly #free: Buffer[][] = []
  #retainedBytes = 0

  constructor(retainedBytesMax: number) {
    this.#retainedBytesMax = retainedBytesMax
  }

  get retainedBytes(): number {
    return this.#retainedBytes
  }

  /** At least `lengthBytes` long; the content is whatever the last user left. */
  take(lengthBytes: number): Buffer {
    const bits = sizeBits(lengthBytes)
    const buffer = this.#free[bits]?.pop()
    if (buffer === undefined) return Buffer.allocUnsafeSlow(2 ** bits + POOL_HEADROOM_BYTES)
    this.#retainedBytes -= buffer.length
    return buffer
  }

  /** Only for buffers of take(), once each, when nothing refers to them any more. */
  give(buffer: Buffer): void {
    if (this.#retainedBytes + buffer.length > this.#retainedBytesMax) return
    const bits = sizeBits(buffer.length)
    let free = this.#free[bits]
    if (free === undefined) {
      free = []
      this.#free[bits] = free
    }
    free.push(buffer)
    this.#retainedBytes += buffer.length
  }
}

function sizeBits(lengthBytes: number): number {
  const beyond = lengthBytes - POOL_HEADROOM_BYTES
  return beyond <= 2 ** SMALLEST_BITS ? SMALLEST_BITS : 32 - Math.clz32(beyond - 1)
}
