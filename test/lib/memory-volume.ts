import { randomUUID } from 'node:crypto'
import type { BlockExtent } from '../../src/block/block-device.ts'
import { BlockKind, type BlockOperation } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import { HoldfastError } from '../../src/errors/holdfast-error.ts'
import { invariant } from '../../src/lib/invariant.ts'
import { orInto } from '../../src/volume/block-alignment.ts'
import type { ClientIdentity } from '../../src/volume/client-identity.ts'
import { Reservations } from '../../src/volume/reservations.ts'
import { SANITIZER, Sanitization } from '../../src/volume/sanitize/sanitization.ts'
import type { Volume, VolumeChange, VolumeHandle } from '../../src/volume/volume.ts'
import { AMPLE_SPACE, type VolumeSpace } from '../../src/volume/volume-space.ts'
import { MemoryStateStorage } from './memory-state-storage.ts'

const BLOCK_BYTES = 4096

export interface MemoryVolumeOptions {
  readonly name?: string
  readonly sizeBytes?: number
  readonly blockSizeBytes?: 512 | 4096
  readonly readOnly?: boolean
  readonly removable?: boolean
}

export interface MediumFault {
  readonly status: BlockStatus
  readonly failedAtBytes?: number
}

/** A volume in memory, with delays and faults, for tests of what stands in front of a volume. */
export class MemoryVolume implements Volume {
  readonly name: string
  readonly uuid = randomUUID()
  readonly naa = Buffer.from(`602484f${this.uuid.replaceAll('-', '').slice(7)}`, 'hex')
  readonly blockSizeBytes: 512 | 4096
  readonly removable: boolean
  readonly storage = new MemoryStateStorage()
  readonly reservations = new Reservations(this.storage)
  readonly sanitizeStorage = new MemoryStateStorage()
  readonly sanitization = new Sanitization({
    storage: this.sanitizeStorage,
    bytesPerSecond: Number.POSITIVE_INFINITY,
  })
  space: VolumeSpace = AMPLE_SPACE
  readOnly: boolean
  /** With a number, nothing finishes in place, and a submitted operation is applied only after this long. */
  delayMs: number | null = null
  /** Asked before each access; what it answers is what happens instead. */
  fault: ((kind: BlockKind, offsetBytes: number, lengthBytes: number) => MediumFault | null) | null = null
  /** Whether abort() comes in time. */
  takesBack = true
  openHandles = 0
  /** The latest that was submitted. */
  lastOperation: BlockOperation | null = null
  readonly kindsApplied: BlockKind[] = []
  bytes: Buffer
  readonly mapped = new Set<number>()
  readonly #listeners = new Set<(change: VolumeChange) => void>()

  constructor(options: MemoryVolumeOptions = {}) {
    this.name = options.name ?? 'memory'
    this.blockSizeBytes = options.blockSizeBytes ?? 512
    this.readOnly = options.readOnly ?? false
    this.removable = options.removable ?? false
    this.bytes = Buffer.alloc(options.sizeBytes ?? 16 * 2 ** 20)
    this.sanitization.resume(client => this.open(client))
  }

  get sizeBytes(): number {
    return this.bytes.length
  }

  resize(sizeBytes: number): void {
    const bytes = Buffer.alloc(sizeBytes)
    this.bytes.copy(bytes)
    this.bytes = bytes
    this.tell('resized')
  }

  setReadOnly(readOnly: boolean): void {
    this.readOnly = readOnly
    this.tell('writeProtection')
  }

  tell(change: VolumeChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  open(client: ClientIdentity): VolumeHandle {
    this.openHandles++
    return new MemoryHandle(this, client)
  }

  onChange(listener: (change: VolumeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

interface Waiting {
  readonly timer: NodeJS.Timeout
  aborted: boolean
}

class MemoryHandle implements VolumeHandle {
  readonly #volume: MemoryVolume
  readonly #client: ClientIdentity
  readonly #waiting = new Map<BlockOperation, Waiting>()
  #isClosed = false
  failedAtBytes = 0

  constructor(volume: MemoryVolume, client: ClientIdentity) {
    this.#volume = volume
    this.#client = client
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

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    const status = this.#begin(BlockKind.read, offsetBytes, lengthBytes, false)
    if (status !== BlockStatus.ok) return status
    this.#volume.bytes.copy(into, at, offsetBytes, offsetBytes + lengthBytes)
    return BlockStatus.ok
  }

  writeNow(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): BlockStatus {
    const status = this.#begin(BlockKind.write, offsetBytes, lengthBytes, false)
    if (status === BlockStatus.ok) this.#write(offsetBytes, lengthBytes, from, at)
    return status
  }

  submit(operation: BlockOperation): void {
    invariant(!this.#isClosed && !this.#waiting.has(operation), 'an operation is submitted once, while open')
    const waiting: Waiting = {
      aborted: false,
      timer: setTimeout(() => this.#apply(operation), this.#volume.delayMs ?? 0),
    }
    this.#volume.lastOperation = operation
    this.#waiting.set(operation, waiting)
  }

  abort(operation: BlockOperation): void {
    const waiting = this.#waiting.get(operation)
    if (waiting === undefined || waiting.aborted || !this.#volume.takesBack) return
    waiting.aborted = true
    clearTimeout(waiting.timer)
    setImmediate(() => this.#complete(operation, BlockStatus.aborted))
  }

  async extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    const extents: BlockExtent[] = []
    const end = offsetBytes + lengthBytes
    if (end > this.sizeBytes) throw new HoldfastError('ERR_BLOCK_OUT_OF_RANGE')
    for (let at = offsetBytes; at < end; ) {
      const next = Math.min(end, (Math.floor(at / BLOCK_BYTES) + 1) * BLOCK_BYTES)
      const mapped = this.#volume.mapped.has(Math.floor(at / BLOCK_BYTES))
      const last = extents.at(-1)
      if (last?.mapped === mapped) {
        extents[extents.length - 1] = { ...last, lengthBytes: last.lengthBytes + next - at }
      } else extents.push({ offsetBytes: at, lengthBytes: next - at, mapped })
      at = next
    }
    return extents
  }

  async close(): Promise<void> {
    for (const operation of [...this.#waiting.keys()]) this.abort(operation)
    while (this.#waiting.size > 0) await new Promise(resolve => setImmediate(resolve))
    if (!this.#isClosed) this.#volume.openHandles--
    this.#isClosed = true
  }

  #begin(kind: BlockKind, offsetBytes: number, lengthBytes: number, waited: boolean): BlockStatus {
    const volume = this.#volume
    const isAligned = offsetBytes % volume.blockSizeBytes === 0 && lengthBytes % volume.blockSizeBytes === 0
    invariant(isAligned && !this.#isClosed, 'whole blocks of an open volume')
    if (offsetBytes + lengthBytes > volume.sizeBytes) return BlockStatus.outOfRange
    const { refusal } = volume.sanitization
    if (refusal !== BlockStatus.ok && this.#client !== SANITIZER) return refusal
    const isReading = kind === BlockKind.read || kind === BlockKind.verify || kind === BlockKind.flush
    if (!isReading && volume.readOnly && this.#client !== SANITIZER) return BlockStatus.writeProtected
    if (!volume.reservations.permits(this.#client, isReading ? 'read' : 'write')) {
      return BlockStatus.reservationConflict
    }
    if (!waited && volume.delayMs !== null) return BlockStatus.wouldBlock
    const fault = volume.fault?.(kind, offsetBytes, lengthBytes) ?? null
    if (fault !== null) {
      this.failedAtBytes = fault.failedAtBytes ?? offsetBytes
      return fault.status
    }
    volume.kindsApplied.push(kind)
    return BlockStatus.ok
  }

  #apply(operation: BlockOperation): void {
    const { kind, offsetBytes, lengthBytes, data, dataAt } = operation
    let status = this.#begin(kind, offsetBytes, lengthBytes, true)
    operation.failedAtBytes = this.failedAtBytes
    if (status === BlockStatus.ok) {
      if (kind === BlockKind.read) {
        this.#volume.bytes.copy(data, dataAt, offsetBytes, offsetBytes + lengthBytes)
      } else if (kind === BlockKind.write || kind === BlockKind.writeAtomic)
        this.#write(offsetBytes, lengthBytes, data, dataAt)
      else if (kind === BlockKind.trim || kind === BlockKind.zero) this.#zero(operation)
      else if (kind === BlockKind.orWrite) this.#orWrite(operation)
      else if (kind !== BlockKind.flush) status = this.#compare(operation)
    }
    this.#complete(operation, status)
  }

  #complete(operation: BlockOperation, status: BlockStatus): void {
    this.#waiting.delete(operation)
    operation.status = status
    operation.completion.blockDone(operation)
  }

  #write(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): void {
    from.copy(this.#volume.bytes, offsetBytes, at, at + lengthBytes)
    for (let block = offsetBytes; block < offsetBytes + lengthBytes; block += this.blockSizeBytes) {
      this.#volume.mapped.add(Math.floor(block / BLOCK_BYTES))
    }
  }

  #zero({ kind, offsetBytes, lengthBytes }: BlockOperation): void {
    this.#volume.bytes.fill(0, offsetBytes, offsetBytes + lengthBytes)
    if (kind !== BlockKind.trim) return
    const firstWhole = Math.ceil(offsetBytes / BLOCK_BYTES)
    const endWhole = Math.floor((offsetBytes + lengthBytes) / BLOCK_BYTES)
    for (let block = firstWhole; block < endWhole; block++) this.#volume.mapped.delete(block)
  }

  #orWrite({ offsetBytes, lengthBytes, data, dataAt }: BlockOperation): void {
    const combined = Buffer.from(this.#volume.bytes.subarray(offsetBytes, offsetBytes + lengthBytes))
    orInto(combined, 0, data, dataAt, lengthBytes)
    this.#write(offsetBytes, lengthBytes, combined, 0)
  }

  #compare(operation: BlockOperation): BlockStatus {
    const { kind, offsetBytes, lengthBytes, data, dataAt } = operation
    for (let index = 0; index < lengthBytes; index++) {
      if (data[dataAt + index] === this.#volume.bytes[offsetBytes + index]) continue
      operation.failedAtBytes = offsetBytes + index
      return BlockStatus.miscompare
    }
    if (kind === BlockKind.compareAndWrite) this.#write(offsetBytes, lengthBytes, data, dataAt + lengthBytes)
    return BlockStatus.ok
  }
}
