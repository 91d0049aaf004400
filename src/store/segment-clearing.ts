import type { BrickParts } from './brick-parts.ts'
import { endDoubt, isQuestionable, standsAlone } from './doubt.ts'
import {
  BLOCKS_PER_REGION,
  bankOf,
  indexOf,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  SEGMENTS_PER_SLOT,
} from './layout.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'
import type { WaitingRead } from './waiting-read.ts'

interface SegmentPlace {
  readonly slot: number
  readonly segment: number
}

/** Turns active segments clean: what they hold is read where in doubt, made durable, and only then forgotten. */
export class SegmentClearing {
  readonly #parts: BrickParts
  readonly #reads: WaitingRead

  constructor(parts: BrickParts, reads: WaitingRead) {
    this.#parts = parts
    this.#reads = reads
  }

  /** Active segments of a volume, unwritten since `quietSinceMs`, least recently written first. */
  quiet(map: VolumeMap, quietSinceMs: number, atMost: number): number[] {
    const { activity, banks } = this.#parts
    const found: { segment: number; lastWriteMs: number }[] = []
    for (const [extent, slot] of map.slots.entries()) {
      const active = slot === NO_SLOT ? 0 : activity.activeIn(slot)
      if (active === 0) continue
      const times = banks[bankOf(slot)]!.lastWriteMs
      for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
        const lastWriteMs = times[indexOf(slot) * SEGMENTS_PER_SLOT + segment]!
        if (((active >>> segment) & 1) === 0 || lastWriteMs > quietSinceMs) continue
        if (this.#isKept({ slot, segment })) continue
        found.push({ segment: extent * SEGMENTS_PER_SLOT + segment, lastWriteMs })
      }
    }
    found.sort((a, b) => a.lastWriteMs - b.lastWriteMs)
    return found.slice(0, atMost).map(({ segment }) => segment)
  }

  /**
   * Rejects with the brick's failure; then they stay active. Written ones stay active too, and questionable ones
   * of which another member may know better.
   */
  async clear(map: VolumeMap, segments: readonly number[]): Promise<void> {
    const places = segments
      .map(segment => ({
        slot: map.slots[Math.floor(segment / SEGMENTS_PER_SLOT)] ?? NO_SLOT,
        segment: segment % SEGMENTS_PER_SLOT,
      }))
      .filter(place => place.slot !== NO_SLOT && !this.#isKept(place))
    for (const place of places) await this.settle(place)
    await this.clearPlaces(places)
  }

  #isKept({ slot, segment }: SegmentPlace): boolean {
    return !standsAlone(this.#parts, slot) && isQuestionable(this.#parts, slot, segment)
  }

  /** As clear(), for segments in no doubt. */
  async clearPlaces(places: readonly SegmentPlace[]): Promise<void> {
    const { activity, banks, durability } = this.#parts
    for (const { slot, segment } of places) {
      const bank = banks[bankOf(slot)]!
      bank.clearing[indexOf(slot)]! |= 1 << segment
      bank.forgetReadySegment(indexOf(slot), segment)
    }
    await durability.flushEverything()
    for (const { slot, segment } of places) {
      const { clearing } = banks[bankOf(slot)]!
      const bit = 1 << segment
      if ((clearing[indexOf(slot)]! & bit) !== 0) activity.deactivate(slot, bit)
      clearing[indexOf(slot)]! &= ~bit
    }
    await activity.flush()
  }

  /** Reads a questionable segment through: what differs stands. Nothing to do for any other. */
  async settle({ slot, segment }: SegmentPlace): Promise<void> {
    const bank = this.#parts.banks[bankOf(slot)]!
    const index = indexOf(slot)
    if (!isQuestionable(this.#parts, slot, segment)) return
    const buffer = Buffer.allocUnsafe(REGION_BYTES)
    for (let i = 0; i < REGIONS_PER_SEGMENT; i++) {
      const region = segment * REGIONS_PER_SEGMENT + i
      if (!bank.isAllocated(index, region)) continue
      const first = region * BLOCKS_PER_REGION
      await this.#readRegion(slot, first, first + BLOCKS_PER_REGION, buffer)
      if (this.#parts.failure.error !== null) throw this.#parts.failure.error
    }
    endDoubt(this.#parts, slot, segment)
  }

  /** A bad block, which the disk itself does not give, must not hide the ones behind it. */
  async #readRegion(slot: number, first: number, end: number, buffer: Buffer): Promise<void> {
    for (let from = first; from < end; ) {
      const bad = await this.#reads.readPart(slot, from, end, buffer, 0)
      if (bad < 0) return
      from = bad + 1
    }
  }
}
