import { setTimeout as sleep } from 'node:timers/promises'
import type { ScrubProgress } from './brick.ts'
import type { BrickParts } from './brick-parts.ts'
import { endDoubt, isInDoubt, standsAlone } from './doubt.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_SEGMENT,
  bankOf,
  indexOf,
  SEGMENT_BYTES,
  SLOT_BYTES,
  slotDataAt,
} from './layout.ts'
import { SCRUB_BYTES_PER_SECOND_DEFAULT, Scrub, type ScrubSource } from './scrub/scrub.ts'
import { startScrubReader } from './scrub/scrub-reader.ts'
import type { SlotIo } from './slot-io.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

/** The scrubs of a brick, one at a time. */
export class BrickScrubs {
  readonly #source: ScrubSource
  readonly #clock: () => number
  readonly #failed: (error: unknown) => void
  #scrub: Scrub | null = null
  #running: Promise<void> | null = null

  constructor(
    parts: BrickParts,
    io: SlotIo,
    maps: ReadonlyMap<string, VolumeMap>,
    told: {
      readonly failed: (error: unknown) => void
      /** A block that the disk does not give as it was written. */
      readonly bad: (volume: string, offsetBytes: number) => void
    },
  ) {
    this.#source = scrubSource(parts, io, maps, told.bad)
    this.#clock = parts.clock
    this.#failed = told.failed
  }

  /** A scrub has ended when the next one may start. */
  get progress(): ScrubProgress | null {
    const progress = this.#scrub?.progress ?? null
    return progress === null || this.#running === null ? progress : { ...progress, endedAtMs: null }
  }

  start(bytesPerSecond = SCRUB_BYTES_PER_SECOND_DEFAULT): void {
    if (this.#running !== null) return
    const clock = { nowMs: this.#clock, sleep: sleepUnlessStopped }
    const scrub = new Scrub(this.#source, startScrubReader(), clock, bytesPerSecond)
    this.#scrub = scrub
    this.#running = scrub
      .run()
      .catch(this.#failed)
      .finally(() => {
        this.#running = null
      })
  }

  async stop(): Promise<void> {
    this.#scrub?.stop()
    await this.#running
  }
}

async function sleepUnlessStopped(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function scrubSource(
  parts: BrickParts,
  io: SlotIo,
  maps: ReadonlyMap<string, VolumeMap>,
  bad: (volume: string, offsetBytes: number) => void,
): ScrubSource {
  const { banks, checksums } = parts
  const bankAt = (slot: number) => banks[bankOf(slot)]!
  const loadPage = async (slot: number, segment: number) => {
    const loaded = await checksums.load(slot, segment)
    return loaded < 0 ? undefined : checksums.peek(slot, segment)
  }
  return {
    slots: () => [...maps.values()].flatMap(map => [...map.slots].filter(slot => slot !== NO_SLOT)),
    isRegionAllocated: (slot, region) => bankAt(slot).isAllocated(indexOf(slot), region),
    locate: slot => ({ path: bankAt(slot).dataPath, offsetBytes: slotDataAt(indexOf(slot)) }),
    entries: async (slot, segment) => (await loadPage(slot, segment))?.words.slice() ?? null,
    isInDoubt: (slot, segment) => isInDoubt(parts, slot, segment) && standsAlone(parts, slot),
    settle: async (slot, segment, block) => {
      const page = await loadPage(slot, segment)
      if (page === undefined) return
      io.judge.lookAgain(bankAt(slot), slot, segment * BLOCKS_PER_SEGMENT + block, page)
    },
    doubtEnds: (slot, segment) => endDoubt(parts, slot, segment),
    foundBad: (slot, segment, block) => {
      parts.counters.checksumErrors++
      for (const map of maps.values()) {
        const extent = map.slots.indexOf(slot)
        if (extent >= 0) bad(map.uuid, extent * SLOT_BYTES + segment * SEGMENT_BYTES + block * BLOCK_BYTES)
      }
    },
  }
}
