import { BlockStatus } from '../block/block-status.ts'
import type { VolumeExtents } from '../store/brick.ts'
import { alignDown, alignUp, STORE_BLOCK_BYTES } from './block-alignment.ts'

/** Longer pieces with ragged ends go the asynchronous way, so that the scratch buffer stays small. */
const SUB_BLOCK_INLINE_BYTES_MAX = 128 * 1024
/** One for all volumes: nothing stays in it from one call to the next. */
const scratch = Buffer.allocUnsafeSlow(SUB_BLOCK_INLINE_BYTES_MAX + 2 * STORE_BLOCK_BYTES)

/**
 * Inline reads and writes whose ends are not on store blocks (512-byte volumes): the whole blocks around them
 * pass through one scratch buffer. Read-modify-write is safe in place because nothing else runs in between.
 */
export class SubBlockIo {
  readonly #extents: VolumeExtents

  constructor(extents: VolumeExtents) {
    this.#extents = extents
  }

  get failedAtBytes(): number {
    return this.#extents.failedAtBytes
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    if (lengthBytes > SUB_BLOCK_INLINE_BYTES_MAX) return BlockStatus.wouldBlock
    const start = alignDown(offsetBytes)
    const status = this.#extents.readNow(start, alignUp(offsetBytes + lengthBytes) - start, scratch, 0)
    if (status === BlockStatus.ok) {
      scratch.copy(into, at, offsetBytes - start, offsetBytes - start + lengthBytes)
    }
    return status
  }

  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    checksums: null,
    stream: number,
    sequence: number,
  ): BlockStatus {
    if (lengthBytes > SUB_BLOCK_INLINE_BYTES_MAX) return BlockStatus.wouldBlock
    const start = alignDown(offsetBytes)
    const end = alignUp(offsetBytes + lengthBytes)
    const tail = end - STORE_BLOCK_BYTES
    const headIsRagged = offsetBytes !== start
    if (headIsRagged) {
      const status = this.#extents.readNow(start, STORE_BLOCK_BYTES, scratch, 0)
      if (status !== BlockStatus.ok) return status
    }
    if (offsetBytes + lengthBytes !== end && !(headIsRagged && tail === start)) {
      const status = this.#extents.readNow(tail, STORE_BLOCK_BYTES, scratch, tail - start)
      if (status !== BlockStatus.ok) return status
    }
    from.copy(scratch, offsetBytes - start, at, at + lengthBytes)
    return this.#extents.writeNow(start, end - start, scratch, 0, checksums, stream, sequence)
  }
}
