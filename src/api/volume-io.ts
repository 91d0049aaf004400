import type { BlockDevice } from '../block/block-device.ts'
import { type BlockCompletion, type BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { causeCodeOfBlockStatus } from '../errors/block-causes.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'

/** How much of a volume one question about its extents covers. */
export const EXTENTS_WINDOW_BYTES = 2 ** 30
const NO_DATA = Buffer.alloc(0)

/** One operation at a time against a device, awaited: for import and export, never for a client's I/O. */
export class VolumeIo implements BlockCompletion {
  readonly device: BlockDevice
  readonly #operation = new BlockOperation(this)
  #settle: (() => void) | null = null

  constructor(device: BlockDevice) {
    this.device = device
  }

  blockDone(): void {
    this.#settle!()
  }

  /** Throws a HoldfastError with the cause of the operation's status. */
  async run(kind: BlockKind, offsetBytes = 0, lengthBytes = 0, data: Buffer = NO_DATA): Promise<void> {
    const operation = this.#operation
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.data = data
    operation.dataAt = 0
    operation.fua = false
    operation.status = BlockStatus.ok
    const done = new Promise<void>(resolve => {
      this.#settle = resolve
    })
    this.device.submit(operation)
    await done
    refuseFailure(operation.status)
  }
}

function refuseFailure(status: BlockStatus): void {
  if (status !== BlockStatus.ok) throw new HoldfastError(causeCodeOfBlockStatus(status))
}
