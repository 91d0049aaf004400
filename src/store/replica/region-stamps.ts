import { BlockStatus } from '../../block/block-status.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { BrickParts } from '../brick-parts.ts'
import {
  bankOf,
  indexOf,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  REGIONS_PER_SLOT,
  SEGMENTS_PER_SLOT,
} from '../layout.ts'
import { NO_SLOT, type VolumeMap } from '../volume-map.ts'
import type { WritePreparation } from '../write-preparation.ts'

/** When the regions of a volume were last written, as generations. PROTOCOL rules 11 to 13. */
export class RegionStamps {
  readonly #parts: BrickParts
  readonly #preparation: WritePreparation

  constructor(parts: BrickParts, preparation: WritePreparation) {
    this.#parts = parts
    this.#preparation = preparation
  }

  /** See ReplicaVolume.regionsSince. */
  async since(map: VolumeMap, since: number, from: number, atMost: number): Promise<number[]> {
    const { banks, stamps } = this.#parts
    const found: number[] = []
    const regions = Math.ceil(map.sizeBytes / REGION_BYTES)
    for (let region = from; region < regions && found.length < atMost; ) {
      const slot = map.slots[Math.floor(region / REGIONS_PER_SLOT)]!
      const end = Math.min(regions, region - (region % REGIONS_PER_SLOT) + REGIONS_PER_SLOT)
      if (slot !== NO_SLOT) {
        await this.#load(slot)
        for (let at = region; at < end && found.length < atMost; at++) {
          const stamp = stamps.stampOf(banks[bankOf(slot)]!, indexOf(slot), at % REGIONS_PER_SLOT)!
          if (stamp >= since) found.push(at)
        }
      }
      region = end
    }
    return found
  }

  /** See ReplicaVolume.stampActive. */
  async raiseActive(map: VolumeMap, generation: number): Promise<void> {
    const { activity, banks, failure, stamps } = this.#parts
    for (const slot of map.slots) {
      if (slot === NO_SLOT || activity.activeIn(slot) === 0) continue
      await this.#load(slot)
      for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
        if (((activity.activeIn(slot) >>> segment) & 1) === 0) continue
        const first = segment * REGIONS_PER_SEGMENT
        const last = first + REGIONS_PER_SEGMENT - 1
        const result = stamps.raise(banks[bankOf(slot)]!, indexOf(slot), first, last, generation)
        if (result < 0) throw failure.set('writing stamps', result)
      }
    }
  }

  /** Gives the extent a slot if it has none: a stamp of a region that was trimmed counts as any other. */
  async raise(map: VolumeMap, region: number, stamp: number): Promise<void> {
    if (stamp === 0) return
    const { activity, banks, failure, stamps } = this.#parts
    const status = await this.#preparation.giveSlots(map, region * REGION_BYTES, REGION_BYTES)
    if (status === BlockStatus.noSpace) throw new HoldfastError('ERR_BLOCK_NO_SPACE')
    if (failure.error !== null) throw failure.error
    const slot = map.slots[Math.floor(region / REGIONS_PER_SLOT)] ?? NO_SLOT
    // The volume, or this range of it, is going.
    if (slot === NO_SLOT) return
    const inSlot = region % REGIONS_PER_SLOT
    await this.#load(slot)
    const bank = banks[bankOf(slot)]!
    const isActive = (activity.activeIn(slot) >>> Math.floor(inSlot / REGIONS_PER_SEGMENT)) & 1
    if (!isActive) bank.stampsOwed = true
    const result = stamps.raise(bank, indexOf(slot), inSlot, inSlot, stamp)
    if (result < 0) throw failure.set('writing stamps', result)
  }

  /** The page of a slot is here when this resolves, for this turn of the event loop. */
  async #load(slot: number): Promise<void> {
    const bank = this.#parts.banks[bankOf(slot)]!
    while (!this.#parts.stamps.has(bank, indexOf(slot))) {
      const loaded = await this.#parts.stamps.load(bank, indexOf(slot))
      if (loaded < 0) throw this.#parts.failure.set('reading stamps', loaded)
    }
  }
}
