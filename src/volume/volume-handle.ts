import type { BlockExtent } from '../block/block-device.ts'
import type { BlockOperation } from '../block/block-operation.ts'
import type { BlockStatus } from '../block/block-status.ts'
import type { ClientIdentity } from './client-identity.ts'
import type { OwnedVolume } from './owned-volume.ts'
import type { VolumeHandle } from './volume.ts'

/** A volume in the hands of one client: every call carries the client's identity to the owner. */
export class OwnedVolumeHandle implements VolumeHandle {
  readonly client: ClientIdentity
  readonly #volume: OwnedVolume
  #inFlight = 0
  #closed = false
  #drained: (() => void) | null = null

  constructor(volume: OwnedVolume, client: ClientIdentity) {
    this.#volume = volume
    this.client = client
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

  get closed(): boolean {
    return this.#closed
  }

  get failedAtBytes(): number {
    return this.#volume.failedAtBytes
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    return this.#volume.readNow(this, offsetBytes, lengthBytes, into, at)
  }

  /** `stream` and `sequence`: as BlockOperation's. */
  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stream = 0,
    sequence = 0,
  ): BlockStatus {
    return this.#volume.writeNow(this, offsetBytes, lengthBytes, from, at, stream, sequence)
  }

  submit(operation: BlockOperation): void {
    this.#inFlight++
    this.#volume.submit(this, operation)
  }

  abort(operation: BlockOperation): void {
    this.#volume.abort(operation)
  }

  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    return this.#volume.extents(offsetBytes, lengthBytes)
  }

  /** From the volume, just before an operation of ours completes. */
  operationEnded(): void {
    if (--this.#inFlight === 0) this.#drained?.()
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true
      this.#volume.abortAll(this)
    }
    if (this.#inFlight > 0) {
      await new Promise<void>(resolve => {
        const others = this.#drained
        this.#drained = () => {
          others?.()
          resolve()
        }
      })
    }
    this.#volume.handleClosed(this)
  }
}
