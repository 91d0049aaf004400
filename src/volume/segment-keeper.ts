import type { VolumeExtents } from '../store/brick.ts'
import { type OperationQueue, type RangeEntry, RangeHold } from './operation-queue.ts'

export const SEGMENT_BYTES = 4 * 1024 * 1024
/** A segment without writes for this long is cleared (PROTOCOL rule 11). */
export const SEGMENT_QUIET_MS = 60_000
const SEGMENTS_CLEARED_AT_ONCE = 256

class SegmentHold implements RangeEntry {
  readonly hold = RangeHold.clear
  waiting = false
  nextEntry: RangeEntry | null = null
  previousEntry: RangeEntry | null = null
  readonly startBytes: number
  readonly endBytes: number
  readonly begun: Promise<void>
  #begin!: () => void

  constructor(segment: number) {
    this.startBytes = segment * SEGMENT_BYTES
    this.endBytes = this.startBytes + SEGMENT_BYTES
    this.begun = new Promise(resolve => {
      this.#begin = resolve
    })
  }

  begin(): void {
    this.#begin()
  }
}

/**
 * Orders a volume's active segments to be cleared. Each is held while that happens: what is in flight in it
 * ends first, new writes wait, reads go on.
 */
export class SegmentKeeper {
  readonly #extents: VolumeExtents
  readonly #queue: OperationQueue
  #stopped = false
  #running: Promise<number> | null = null

  constructor(extents: VolumeExtents, queue: OperationQueue) {
    this.#extents = extents
    this.#queue = queue
  }

  stop(): void {
    this.#stopped = true
  }

  /**
   * Clears segments without a write since `quietSinceMs` (of the brick's clock), least recently written first;
   * answers how many. Rejects when the flush before the clear fails; they stay active then.
   */
  clearQuiet(quietSinceMs: number, atMost = SEGMENTS_CLEARED_AT_ONCE): Promise<number> {
    if (this.#stopped) return Promise.resolve(0)
    this.#running ??= this.#clear(quietSinceMs, atMost).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #clear(quietSinceMs: number, atMost: number): Promise<number> {
    const segments = this.#extents.quietSegments(quietSinceMs, atMost)
    if (segments.length === 0) return 0
    const holds = segments.map(segment => new SegmentHold(segment))
    for (const hold of holds) this.#queue.enter(hold)
    try {
      await Promise.all(holds.map(hold => hold.begun))
      await this.#extents.clearSegments(segments)
    } finally {
      for (const hold of holds) this.#queue.leave(hold)
    }
    return segments.length
  }
}
