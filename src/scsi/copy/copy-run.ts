import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { blockStatusOf } from '../../errors/block-causes.ts'
import type { VolumeHandle } from '../../volume/volume.ts'
import { COPY_PIECE_BYTES } from './copy-limits.ts'
import type { CopyRange } from './copy-plan.ts'

/**
 * Copies ranges one after the other through one buffer. Where the source holds nothing the destination is
 * trimmed. What is written meanwhile to the source may or may not be copied.
 */
export class CopyRun {
  readonly #operation: BlockOperation
  readonly #buffer = Buffer.allocUnsafe(COPY_PIECE_BYTES)
  readonly #progress: (bytes: number) => void
  #isCancelled = false
  #handle: VolumeHandle | null = null
  #done: ((status: BlockStatus) => void) | null = null

  constructor(progress: (bytes: number) => void) {
    this.#operation = new BlockOperation({ blockDone: ({ status }) => this.#blockDone(status) })
    this.#progress = progress
  }

  /** Answers aborted once cancel() has taken effect: nothing is read or written afterwards. */
  async copy(range: CopyRange): Promise<BlockStatus> {
    for (const { at, lengthBytes } of piecesOf(range)) {
      const status = await this.#copyPiece(range, at, lengthBytes)
      if (status !== BlockStatus.ok) return status
      this.#progress(lengthBytes)
    }
    return this.#isCancelled ? BlockStatus.aborted : BlockStatus.ok
  }

  cancel(): void {
    this.#isCancelled = true
    this.#handle?.abort(this.#operation)
  }

  async #copyPiece(range: CopyRange, at: number, lengthBytes: number): Promise<BlockStatus> {
    const { source, destination, sourceBytes, destinationBytes } = range
    const extents = await source.extents(sourceBytes + at, lengthBytes).catch(blockStatusOf)
    if (!Array.isArray(extents)) return extents
    const to = destinationBytes + at
    if (extents.every(({ mapped }) => !mapped)) {
      // Reading is what proves the right to read, and that there is nothing.
      const allowed = await this.#run(source, BlockKind.read, sourceBytes + at, source.blockSizeBytes)
      return allowed === BlockStatus.ok ? this.#run(destination, BlockKind.trim, to, lengthBytes) : allowed
    }
    const read = await this.#run(source, BlockKind.read, sourceBytes + at, lengthBytes)
    return read === BlockStatus.ok ? this.#run(destination, BlockKind.write, to, lengthBytes) : read
  }

  #run(
    handle: VolumeHandle,
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<BlockStatus> {
    if (this.#isCancelled) return Promise.resolve(BlockStatus.aborted)
    const operation = this.#operation
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.data = this.#buffer
    return new Promise(resolve => {
      this.#handle = handle
      this.#done = resolve
      handle.submit(operation)
    })
  }

  #blockDone(status: BlockStatus): void {
    this.#handle = null
    this.#done?.(status)
  }
}

/** Backwards where the destination overlaps what is still to be read, as memmove does. */
function piecesOf({ isWithinVolume, sourceBytes, destinationBytes, lengthBytes }: CopyRange) {
  const pieces: { at: number; lengthBytes: number }[] = []
  for (let at = 0; at < lengthBytes; at += COPY_PIECE_BYTES) {
    pieces.push({ at, lengthBytes: Math.min(COPY_PIECE_BYTES, lengthBytes - at) })
  }
  return isWithinVolume && destinationBytes > sourceBytes ? pieces.reverse() : pieces
}
