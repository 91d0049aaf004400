import { setImmediate as nextTurn } from 'node:timers/promises'
import { BlockStatus } from '../block/block-status.ts'
import { Errno, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import type { BrickParts } from './brick-parts.ts'
import { eraseBlocks } from './erase-blocks.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  bankOf,
  FIRST_PRESENT,
  indexOf,
  KNOWN_ZERO,
  REGIONS_PER_SEGMENT,
  SEGMENTS_PER_SLOT,
  SLOT_BYTES,
} from './layout.ts'
import type { CachedPage } from './page-cache.ts'
import { segmentSlices, startOf } from './slices.ts'
import type { SlotIo } from './slot-io.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'
import type { WritePreparation } from './write-preparation.ts'

const OUT_OF_SPACE: readonly number[] = [-Errno.ENOSPC, -Errno.EDQUOT]

/** Trim and write-zeroes, a segment at a time: blocks become known zeroes, trimmed ones give back their space. */
export class Zeroing {
  readonly #parts: BrickParts
  readonly #io: SlotIo
  readonly #preparation: WritePreparation

  constructor(parts: BrickParts, io: SlotIo, preparation: WritePreparation) {
    this.#parts = parts
    this.#io = io
    this.#preparation = preparation
  }

  /** `copiedStamp`: of a trim that another member has had, which raises stamps to it. */
  async run(
    map: VolumeMap,
    offsetBytes: number,
    lengthBytes: number,
    keepSpace: boolean,
    copiedStamp: number | null = null,
  ): Promise<BlockStatus> {
    for (const slice of segmentSlices(offsetBytes, lengthBytes)) {
      const { extent, fromBytes, toBytes } = slice
      const first = fromBytes / BLOCK_BYTES
      const end = toBytes / BLOCK_BYTES
      const status = keepSpace
        ? await this.#zero(map, extent, startOf(slice), first, end)
        : await this.#trim(map, extent, first, end, copiedStamp)
      if (status !== BlockStatus.ok) return status
      if (toBytes === SLOT_BYTES) await nextTurn()
    }
    return BlockStatus.ok
  }

  /** The space stays. */
  async #zero(map: VolumeMap, extent: number, at: number, first: number, end: number): Promise<BlockStatus> {
    const slotOf = () => map.slots[extent]!
    while (slotOf() === NO_SLOT || !this.#io.canWrite(slotOf(), first, end - first)) {
      const status = await this.#preparation.prepare(map, at, (end - first) * BLOCK_BYTES)
      if (status !== BlockStatus.ok) return status
    }
    const segment = Math.floor(first / BLOCKS_PER_SEGMENT)
    const page = this.#parts.checksums.peek(slotOf(), segment)!
    const status = this.#setZero(slotOf(), segment, page, first, end)
    return status === BlockStatus.ok ? this.#erase(slotOf(), first, end, FALLOC_ZERO_RANGE) : status
  }

  async #trim(
    map: VolumeMap,
    extent: number,
    first: number,
    end: number,
    copiedStamp: number | null,
  ): Promise<BlockStatus> {
    const { activity, banks, checksums, failure, stamps } = this.#parts
    const slot = map.slots[extent]!
    if (slot === NO_SLOT) return BlockStatus.ok
    const bank = banks[bankOf(slot)]!
    const index = indexOf(slot)
    const segment = Math.floor(first / BLOCKS_PER_SEGMENT)
    if (!bank.segmentIsAllocated(index, segment)) return BlockStatus.ok
    const bit = 1 << segment
    for (;;) {
      if (failure.error !== null) return BlockStatus.ioError
      const page = checksums.peek(slot, segment)
      const isActive = (activity.activeIn(slot) & bit) !== 0
      if (page !== undefined && isActive && stamps.has(bank, index)) {
        return this.#trimNow(map, slot, segment, page, first, end, copiedStamp)
      }
      try {
        await activity.activate(slot, bit)
      } catch {
        return BlockStatus.ioError
      }
      const loaded = Math.min(await checksums.load(slot, segment), await stamps.load(bank, index))
      if (loaded < 0) return BlockStatus.ioError
    }
  }

  /** Stamp, then checksums, then the hole: a crash in between leaves what was there or zeroes. */
  #trimNow(
    map: VolumeMap,
    slot: number,
    segment: number,
    page: CachedPage,
    first: number,
    end: number,
    copiedStamp: number | null,
  ): BlockStatus {
    const { banks, failure, stamps } = this.#parts
    const bank = banks[bankOf(slot)]!
    const index = indexOf(slot)
    const firstRegion = Math.floor(first / BLOCKS_PER_REGION)
    const lastRegion = Math.floor((end - 1) / BLOCKS_PER_REGION)
    const stamped =
      copiedStamp === null
        ? stamps.stamp(bank, index, firstRegion, lastRegion, map.stampFor(slot))
        : stamps.raise(bank, index, firstRegion, lastRegion, copiedStamp)
    if (stamped < 0) {
      failure.set('writing stamps', stamped)
      return BlockStatus.ioError
    }
    const status = this.#setZero(slot, segment, page, first, end)
    if (status !== BlockStatus.ok) return status

    const empty: number[] = []
    for (let region = firstRegion; region <= lastRegion; region++) {
      if (bank.isAllocated(index, region) && isEmpty(page, region)) empty.push(region)
    }
    const from = isEmpty(page, firstRegion) ? firstRegion * BLOCKS_PER_REGION : first
    const to = isEmpty(page, lastRegion) ? (lastRegion + 1) * BLOCKS_PER_REGION : end
    const erased = this.#erase(slot, from, to, FALLOC_PUNCH_HOLE)
    return erased === BlockStatus.ok ? this.#giveBack(map, bank, index, empty) : erased
  }

  /**
   * The bytes go too, though nobody can read them now: a power cut that loses the next write but keeps its
   * checksum would have them stand for it.
   */
  #erase(slot: number, first: number, end: number, mode: number): BlockStatus {
    const result = eraseBlocks(this.#parts, slot, first, end, mode)
    if (result >= 0) return BlockStatus.ok
    if (OUT_OF_SPACE.includes(result)) return BlockStatus.noSpace
    this.#parts.failure.set(`zeroing in ${this.#parts.banks[bankOf(slot)]!.dataPath}`, result)
    return BlockStatus.ioError
  }

  #giveBack(map: VolumeMap, bank: Bank, index: number, regions: readonly number[]): BlockStatus {
    if (regions.length === 0) return BlockStatus.ok
    for (const region of regions) bank.setAllocated(index, region, false)
    map.usedRegions -= regions.length
    this.#parts.capacity.release(regions.length)
    const result = this.#parts.stamps.writeAllocated(bank, index)
    if (result < 0) this.#parts.failure.set('writing stamps', result)
    return result < 0 ? BlockStatus.ioError : BlockStatus.ok
  }

  #setZero(slot: number, segment: number, page: CachedPage, first: number, end: number): BlockStatus {
    const { banks, checksums, clock, failure } = this.#parts
    const bank = banks[bankOf(slot)]!
    const index = indexOf(slot)
    const at = first - segment * BLOCKS_PER_SEGMENT
    bank.dataTouched = true
    bank.clearing[index]! &= ~(1 << segment)
    bank.lastWriteMs[index * SEGMENTS_PER_SLOT + segment] = clock()
    const result = checksums.set(bank, index, segment, page, at, end - first, null, KNOWN_ZERO)
    if (result < 0) failure.set('writing checksums', result)
    return result < 0 ? BlockStatus.ioError : BlockStatus.ok
  }
}

function isEmpty(page: CachedPage, region: number): boolean {
  const from = (region % REGIONS_PER_SEGMENT) * BLOCKS_PER_REGION
  for (let block = from; block < from + BLOCKS_PER_REGION; block++) {
    if (page.words[block]! >= FIRST_PRESENT) return false
  }
  return true
}
