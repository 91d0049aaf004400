import { BlockKind, type BlockOperation } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { blockStatusOf } from '../../../src/errors/block-causes.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { SECTOR_BYTES } from '../checker/content.ts'
import { type ClientOperation, UNSEEN } from '../checker/history.ts'

/** A client's connection as the protocol in the daemon has it: what came by it, until it is answered. */
export class DaemonSide {
  /** Null until the login is answered. */
  handle: VolumeHandle | null = null
  /** The daemon has closed it: what is still in it is never read. */
  isDropped = false
  /** Whom to tell when each ends. */
  readonly #tasks = new Map<BlockOperation, (() => void)[]>()

  arrived(operation: ClientOperation, block: BlockOperation, ended: () => void): void {
    const { handle } = this
    if (handle === null || this.isDropped) return
    const waiting: (() => void)[] = []
    this.#tasks.set(block, waiting)
    block.completion = {
      blockDone: () => {
        this.#tasks.delete(block)
        for (const tell of waiting) tell()
        ended()
      },
    }
    if (operation.kind === 'look') return look(handle, operation, block)
    const inline = inPlace(handle, block)
    if (inline !== BlockStatus.wouldBlock) {
      block.status = inline
      block.failedAtBytes = handle.failedAtBytes
      block.completion.blockDone(block)
    } else handle.submit(block)
  }

  /** ABORT TASK. */
  abort(block: BlockOperation): void {
    if (this.#tasks.has(block)) this.handle?.abort(block)
  }

  /** As a SCSI target does it: takes all of it back, and resolves when the last has ended. */
  async abortTasks(): Promise<void> {
    const ends: Promise<void>[] = []
    for (const [block, waiting] of this.#tasks) {
      ends.push(new Promise(resolve => void waiting.push(resolve)))
      this.handle?.abort(block)
    }
    await Promise.all(ends)
  }
}

/** BLOCK STATUS, or GET LBA STATUS. */
function look(handle: VolumeHandle, operation: ClientOperation, block: BlockOperation): void {
  const ended = (status: BlockStatus) => {
    block.status = status
    block.completion.blockDone(block)
  }
  handle.extents(block.offsetBytes, block.lengthBytes).then(
    runs => {
      operation.found = runs.flatMap(({ lengthBytes, mapped }) =>
        Array.from({ length: lengthBytes / SECTOR_BYTES }, () => (mapped ? UNSEEN : 0)),
      )
      ended(BlockStatus.ok)
    },
    error => ended(blockStatusOf(error)),
  )
}

function inPlace(handle: VolumeHandle, block: BlockOperation): BlockStatus {
  const { kind, offsetBytes, lengthBytes, data, dataAt, fua } = block
  if (kind === BlockKind.read) return handle.readNow(offsetBytes, lengthBytes, data, dataAt)
  if (kind === BlockKind.write && !fua) return handle.writeNow(offsetBytes, lengthBytes, data, dataAt)
  return BlockStatus.wouldBlock
}
