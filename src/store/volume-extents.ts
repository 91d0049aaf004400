import type { BlockExtent } from '../block/block-device.ts'
import { BlockKind, type BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { InvariantError, invariant } from '../lib/invariant.ts'
import type { VolumeExtents } from './brick.ts'
import type { BrickParts } from './brick-parts.ts'
import type { DurableWrites } from './durable-writes.ts'
import { listExtents } from './extent-listing.ts'
import { BLOCK_BYTES, REGION_BYTES, SLOT_BYTES } from './layout.ts'
import type { SegmentClearing } from './segment-clearing.ts'
import type { SlotIo } from './slot-io.ts'
import type { VolumeDeletion } from './volume-deletion.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'
import type { WaitingRead } from './waiting-read.ts'
import type { WritePreparation } from './write-preparation.ts'
import type { Zeroing } from './zeroing.ts'

/** What one brick's volumes share. */
export interface VolumeRooms {
  readonly parts: BrickParts
  readonly io: SlotIo
  readonly preparation: WritePreparation
  readonly reads: WaitingRead
  readonly zeroing: Zeroing
  readonly clearing: SegmentClearing
  readonly durableWrites: DurableWrites
  readonly deletion: VolumeDeletion
  /** The owner spoke for the first time, or with a higher generation. */
  generationRose(map: VolumeMap): void
}

/** A volume's extents on this brick: the way from offsets in the volume to blocks in slots. */
export class StoredVolume implements VolumeExtents {
  readonly map: VolumeMap
  readonly #rooms: VolumeRooms
  readonly #parts: BrickParts
  readonly #io: SlotIo
  #failedAtBytes = 0

  constructor(map: VolumeMap, rooms: VolumeRooms) {
    this.map = map
    this.#rooms = rooms
    this.#parts = rooms.parts
    this.#io = rooms.io
  }

  get failedAtBytes(): number {
    return this.#failedAtBytes
  }

  get usedBytes(): number {
    return this.map.usedRegions * REGION_BYTES
  }

  get generation(): number {
    return this.map.generation
  }

  set generation(generation: number) {
    invariant(generation >= this.map.generation, 'the generation of a volume never falls')
    const rose = generation > this.map.generation
    this.map.generation = generation
    if (rose) this.#rooms.generationRose(this.map)
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    const status = this.#readInPlace(offsetBytes, lengthBytes, into, at)
    if (status === BlockStatus.ok) this.#parts.counters.readsInline++
    return status
  }

  #readInPlace(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    if (this.#parts.failure.error !== null) return BlockStatus.ioError
    const endBytes = offsetBytes + lengthBytes
    if (endBytes > this.map.sizeBytes) return BlockStatus.outOfRange
    let target = at
    for (let position = offsetBytes; position < endBytes; ) {
      const extent = Math.floor(position / SLOT_BYTES)
      const inSlot = position - extent * SLOT_BYTES
      const length = Math.min(endBytes - position, SLOT_BYTES - inSlot)
      const slot = this.map.slots[extent]!
      if (slot === NO_SLOT) {
        into.fill(0, target, target + length)
      } else {
        const status = this.#io.readNow(slot, inSlot / BLOCK_BYTES, length / BLOCK_BYTES, into, target)
        if (status !== BlockStatus.ok) {
          this.#failedAtBytes = extent * SLOT_BYTES + this.#io.failedBlock * BLOCK_BYTES
          return status
        }
      }
      position += length
      target += length
    }
    return BlockStatus.ok
  }

  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    checksums: Uint32Array | null = null,
  ): BlockStatus {
    const status = this.#writeInPlace(offsetBytes, lengthBytes, from, at, checksums)
    if (status === BlockStatus.ok) this.#parts.counters.writesInline++
    return status
  }

  /** ok when a write in place needs nothing but the write, now. */
  isReady(offsetBytes: number, lengthBytes: number): BlockStatus {
    if (this.#parts.failure.error !== null) return BlockStatus.ioError
    const endBytes = offsetBytes + lengthBytes
    if (endBytes > this.map.sizeBytes) return BlockStatus.outOfRange
    for (let position = offsetBytes; position < endBytes; ) {
      const extent = Math.floor(position / SLOT_BYTES)
      const inSlot = position - extent * SLOT_BYTES
      const length = Math.min(endBytes - position, SLOT_BYTES - inSlot)
      const slot = this.map.slots[extent]!
      if (slot === NO_SLOT || !this.#io.canWrite(slot, inSlot / BLOCK_BYTES, length / BLOCK_BYTES)) {
        return BlockStatus.wouldBlock
      }
      position += length
    }
    if (this.#parts.writeback.hasRoom(lengthBytes)) return BlockStatus.ok
    const fits = this.#rooms.preparation.hasRoom(this.map, offsetBytes, lengthBytes)
    return fits ? BlockStatus.ok : BlockStatus.wouldBlock
  }

  #writeInPlace(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    checksums: Uint32Array | null,
  ): BlockStatus {
    const ready = this.isReady(offsetBytes, lengthBytes)
    if (ready !== BlockStatus.ok) return ready
    const endBytes = offsetBytes + lengthBytes
    let source = at
    for (let position = offsetBytes; position < endBytes; ) {
      const extent = Math.floor(position / SLOT_BYTES)
      const inSlot = position - extent * SLOT_BYTES
      const length = Math.min(endBytes - position, SLOT_BYTES - inSlot)
      const slot = this.map.slots[extent]!
      const first = inSlot / BLOCK_BYTES
      const count = length / BLOCK_BYTES
      const checksumsAt = (position - offsetBytes) / BLOCK_BYTES
      const status = this.#io.write(slot, first, count, from, source, checksums, checksumsAt)
      if (status !== BlockStatus.ok) return status
      position += length
      source += length
    }
    this.#parts.writeback.startWhenNeeded()
    return BlockStatus.ok
  }

  submit(operation: BlockOperation): void {
    void this.#run(operation)
  }

  async #run(operation: BlockOperation): Promise<void> {
    await undefined
    const began = this.map.inFlight.begin()
    try {
      operation.status = await this.#execute(operation)
    } catch (error) {
      this.#parts.failure.set('an operation', error)
      operation.status = BlockStatus.ioError
    } finally {
      this.map.inFlight.end(began)
    }
    operation.completion.blockDone(operation)
  }

  async #execute(operation: BlockOperation): Promise<BlockStatus> {
    const { offsetBytes, lengthBytes, kind } = operation
    if (this.#parts.failure.error !== null) return BlockStatus.ioError
    if (kind === BlockKind.flush) return this.#flush()
    if (offsetBytes + lengthBytes > this.map.sizeBytes) return BlockStatus.outOfRange
    switch (kind) {
      case BlockKind.read:
        return this.#read(operation)
      case BlockKind.write:
        return this.#write(operation)
      case BlockKind.writeAtomic:
        return this.#writeAtomic(operation)
      case BlockKind.trim:
      case BlockKind.zero: {
        const keepSpace = kind === BlockKind.zero
        const status = await this.#rooms.zeroing.run(this.map, offsetBytes, lengthBytes, keepSpace)
        return this.#durably(operation, status)
      }
      default:
        throw new InvariantError(`operations of kind ${kind} end at the owner`)
    }
  }

  async #read(operation: BlockOperation): Promise<BlockStatus> {
    const { offsetBytes, lengthBytes, data, dataAt } = operation
    this.#parts.counters.readsWaited++
    const { reads } = this.#rooms
    const { status, failedAtBytes } = await reads.read(this.map, offsetBytes, lengthBytes, data, dataAt)
    operation.failedAtBytes = failedAtBytes
    return status
  }

  #write(operation: BlockOperation): Promise<BlockStatus> {
    const { offsetBytes, lengthBytes, data, dataAt, fua } = operation
    this.#parts.counters.writesWaited++
    if (fua) return this.#rooms.durableWrites.write(this, offsetBytes, lengthBytes, data, dataAt)
    return this.writeWaiting(offsetBytes, lengthBytes, data, dataAt)
  }

  #writeAtomic({ offsetBytes, lengthBytes, data, dataAt }: BlockOperation): Promise<BlockStatus> {
    this.#parts.counters.writesWaited++
    const payload = data.subarray(dataAt, dataAt + lengthBytes)
    return this.#rooms.durableWrites.writeAtomic(this, offsetBytes, payload)
  }

  /** Writes to the page cache, bringing what is missing first. */
  async writeWaiting(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
  ): Promise<BlockStatus> {
    for (;;) {
      const ready = await this.becomeReady(offsetBytes, lengthBytes)
      if (ready !== BlockStatus.ok) return ready
      const status = this.#writeInPlace(offsetBytes, lengthBytes, from, at, null)
      if (status !== BlockStatus.wouldBlock) return status
    }
  }

  /** Brings what is missing until isReady(), which holds only in the same turn of the event loop. */
  async becomeReady(offsetBytes: number, lengthBytes: number): Promise<BlockStatus> {
    for (;;) {
      const ready = this.isReady(offsetBytes, lengthBytes)
      if (ready !== BlockStatus.wouldBlock) return ready
      const prepared = await this.#rooms.preparation.prepare(this.map, offsetBytes, lengthBytes)
      if (prepared !== BlockStatus.ok) return prepared
    }
  }

  #durably(operation: BlockOperation, status: BlockStatus): Promise<BlockStatus> | BlockStatus {
    return operation.fua && status === BlockStatus.ok ? this.#flush() : status
  }

  #flush(): Promise<BlockStatus> {
    return this.#rooms.durableWrites.flush()
  }

  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    return listExtents(this.#parts, this.map, offsetBytes, lengthBytes)
  }

  quietSegments(quietSinceMs: number, atMost: number): number[] {
    return this.#rooms.clearing.quiet(this.map, quietSinceMs, atMost)
  }

  clearSegments(segments: readonly number[]): Promise<void> {
    return this.#rooms.clearing.clear(this.map, segments)
  }
}
