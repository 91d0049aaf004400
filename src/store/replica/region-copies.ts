import { BlockStatus } from '../../block/block-status.ts'
import type { BrickParts } from '../brick-parts.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_SEGMENT,
  bankOf,
  indexOf,
  REGION_BYTES,
  SEGMENT_BYTES,
  SLOT_BYTES,
} from '../layout.ts'
import { type Slice, segmentSlices } from '../slices.ts'
import type { SlotIo } from '../slot-io.ts'
import { NO_SLOT, type VolumeMap } from '../volume-map.ts'
import type { WritePreparation } from '../write-preparation.ts'

/**
 * Writes of what other members hold already. They differ from a client's in their stamp, which is the one of what
 * is copied: a region must not seem newer here than it is, and a client's next write must stamp it anew.
 */
export class RegionCopies {
  readonly #parts: BrickParts
  readonly #io: SlotIo
  readonly #preparation: WritePreparation

  constructor(parts: BrickParts, io: SlotIo, preparation: WritePreparation) {
    this.#parts = parts
    this.#io = io
    this.#preparation = preparation
  }

  /** See ReplicaVolume.copyIn. */
  copyIn(
    map: VolumeMap,
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<BlockStatus> {
    return this.#eachSegment(map, offsetBytes, lengthBytes, stamp, (slot, first, count, sliceAt) =>
      this.#io.write(slot, first, count, from, at + sliceAt - offsetBytes),
    )
  }

  /** See ReplicaVolume.markBad. */
  markBad(map: VolumeMap, offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    return this.#eachSegment(map, offsetBytes, lengthBytes, stamp, (slot, first, count) => {
      const { banks, checksums } = this.#parts
      const page = checksums.peek(slot, Math.floor(first / BLOCKS_PER_SEGMENT))!
      for (let block = first; block < first + count; block++) {
        if (this.#io.judge.spoil(banks[bankOf(slot)]!, slot, block, page) < 0) return BlockStatus.ioError
      }
      return BlockStatus.ok
    })
  }

  async #eachSegment(
    map: VolumeMap,
    offsetBytes: number,
    lengthBytes: number,
    stamp: number,
    put: (slot: number, firstBlock: number, count: number, atBytes: number) => BlockStatus,
  ): Promise<BlockStatus> {
    if (offsetBytes + lengthBytes > map.sizeBytes) return BlockStatus.outOfRange
    for (const slice of segmentSlices(offsetBytes, lengthBytes)) {
      const sliceAt = slice.extent * SLOT_BYTES + slice.fromBytes
      const lengthBytes = slice.toBytes - slice.fromBytes
      while (!this.#isPrepared(map, slice) || !this.#preparation.hasRoom(map, sliceAt, lengthBytes)) {
        const status = await this.#preparation.prepare(map, sliceAt, lengthBytes, stamp)
        if (status !== BlockStatus.ok) return status
      }
      const slot = map.slots[slice.extent]!
      this.#stamp(slot, slice, stamp)
      const first = slice.fromBytes / BLOCK_BYTES
      const status = put(slot, first, lengthBytes / BLOCK_BYTES, sliceAt)
      if (status !== BlockStatus.ok) return status
      this.#parts.writeback.startWhenNeeded()
    }
    return BlockStatus.ok
  }

  /** As SlotIo.canWrite() for a client's write: true holds in this turn of the event loop. */
  #isPrepared(map: VolumeMap, { extent, fromBytes, toBytes }: Slice): boolean {
    const { activity, banks, checksums, failure, stamps } = this.#parts
    const slot = map.slots[extent] ?? NO_SLOT
    if (slot === NO_SLOT || failure.error !== null) return false
    const bank = banks[bankOf(slot)]!
    const segment = Math.floor(fromBytes / SEGMENT_BYTES)
    if (((activity.activeIn(slot) >>> segment) & 1) === 0) return false
    if (checksums.peek(slot, segment) === undefined || !stamps.has(bank, indexOf(slot))) return false
    const last = Math.floor((toBytes - 1) / REGION_BYTES)
    for (let region = Math.floor(fromBytes / REGION_BYTES); region <= last; region++) {
      if (!bank.isAllocated(indexOf(slot), region)) return false
    }
    return true
  }

  // What was stamped when it was prepared may have been cleared since: now it is not.
  #stamp(slot: number, { fromBytes, toBytes }: Slice, stamp: number): void {
    const { banks, failure, stamps } = this.#parts
    const bank = banks[bankOf(slot)]!
    bank.clearing[indexOf(slot)]! &= ~(1 << Math.floor(fromBytes / SEGMENT_BYTES))
    const last = Math.floor((toBytes - 1) / REGION_BYTES)
    const result = stamps.raise(bank, indexOf(slot), Math.floor(fromBytes / REGION_BYTES), last, stamp)
    if (result < 0) failure.set('writing stamps', result)
  }
}
