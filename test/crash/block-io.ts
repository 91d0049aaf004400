import { type BlockKind, BlockOperation } from '../../src/block/block-operation.ts'
import type { BlockStatus } from '../../src/block/block-status.ts'
import type { VolumeExtents } from '../../src/store/brick.ts'

export interface BlockRequest {
  readonly kind: BlockKind
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly data?: Buffer
  readonly fua?: boolean
}

export interface BlockOutcome {
  readonly status: BlockStatus
  readonly failedAtBytes: number
}

/** One operation on a volume of a brick, as a promise. */
export function perform(volume: VolumeExtents, request: BlockRequest): Promise<BlockOutcome> {
  return new Promise(resolve => {
    const operation = new BlockOperation({
      blockDone: ({ status, failedAtBytes }) => resolve({ status, failedAtBytes }),
    })
    operation.kind = request.kind
    operation.offsetBytes = request.offsetBytes
    operation.lengthBytes = request.lengthBytes
    if (request.data !== undefined) operation.data = request.data
    operation.fua = request.fua ?? false
    volume.submit(operation)
  })
}
