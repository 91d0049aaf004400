import type { BlockExtent } from '../block/block-device.ts'
import { BlockKind, type BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { VolumeHandle } from '../volume/volume.ts'
import { type GatewayStream, StreamState } from './gateway-stream.ts'
import type { RoutedOperation } from './routed-operation.ts'

export interface RoutedHandleOwner {
  readonly blockSizeBytes: 512 | 4096
  readonly sizeBytes: number
  readonly readOnly: boolean
  submit(handle: RoutedHandle, operation: BlockOperation): void
  abort(routed: RoutedOperation): void
  extents(handle: RoutedHandle, offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]>
  closed(handle: RoutedHandle): Promise<void>
}

/** A volume in the hands of one client, wherever its owner is. */
export class RoutedHandle implements VolumeHandle {
  readonly client: ClientIdentity
  readonly stream: GatewayStream
  readonly operations = new Set<RoutedOperation>()
  /** Of the volume in this process, while this daemon owns it. */
  local: VolumeHandle | null = null
  /** The owner's number of this client; 0: not asked for yet. -1: being asked for. */
  remoteNumber = 0
  isClosed = false
  /** Acknowledged writes are gone: the next flush that a client asks for says so. */
  hasLostWrites = false
  readonly #volume: RoutedHandleOwner
  #drained: (() => void)[] = []

  constructor(volume: RoutedHandleOwner, client: ClientIdentity, stream: GatewayStream) {
    this.#volume = volume
    this.client = client
    this.stream = stream
  }

  get blockSizeBytes(): number {
    return this.#volume.blockSizeBytes
  }

  get sizeBytes(): number {
    return this.#volume.sizeBytes
  }

  get readOnly(): boolean {
    return this.#volume.readOnly
  }

  get failedAtBytes(): number {
    return this.local?.failedAtBytes ?? 0
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    const { local, stream } = this
    if (local === null || this.isClosed || stream.state === StreamState.dead) return BlockStatus.wouldBlock
    const status = local.readNow(offsetBytes, lengthBytes, into, at)
    return status === BlockStatus.unavailable ? BlockStatus.wouldBlock : status
  }

  writeNow(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): BlockStatus {
    const { local, stream } = this
    if (local === null || this.isClosed || stream.state !== StreamState.open) return BlockStatus.wouldBlock
    const status = local.writeNow(offsetBytes, lengthBytes, from, at)
    if (status === BlockStatus.ok) stream.writes++
    return status === BlockStatus.unavailable ? BlockStatus.wouldBlock : status
  }

  submit(operation: BlockOperation): void {
    this.#volume.submit(this, operation)
  }

  abort(operation: BlockOperation): void {
    for (const routed of this.operations) {
      if (routed.operation === operation) return this.#volume.abort(routed)
    }
  }

  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    return this.#volume.extents(this, offsetBytes, lengthBytes)
  }

  /** From the volume: an operation of ours has succeeded. */
  acknowledged(routed: RoutedOperation): void {
    const { stream } = this
    if (routed.isChange) stream.writes++
    if (routed.operation.kind === BlockKind.flush) {
      stream.flushedWrites = Math.max(stream.flushedWrites, routed.coversWrites)
    }
  }

  /** From the volume, when an operation of ours has ended. */
  operationEnded(routed: RoutedOperation): void {
    this.operations.delete(routed)
    if (this.operations.size > 0) return
    const drained = this.#drained
    this.#drained = []
    for (const resolve of drained) resolve()
  }

  async close(): Promise<void> {
    if (!this.isClosed) {
      this.isClosed = true
      for (const routed of [...this.operations]) this.#volume.abort(routed)
    }
    if (this.operations.size > 0) await new Promise<void>(resolve => void this.#drained.push(resolve))
    await this.#volume.closed(this)
  }
}
