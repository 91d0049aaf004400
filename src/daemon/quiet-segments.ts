import type { Log } from '../lib/log.ts'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import { SEGMENT_QUIET_MS } from '../volume/segment-keeper.ts'

const CLEAR_EVERY_MS = 5_000
/** Of the active segments of a brick that has too many. PROTOCOL rule 11. */
const PART_CLEARED = 8

/** Orders the quiet segments of the volumes that are owned here to be cleared on every member. */
export class QuietSegments implements Disposable {
  readonly #volumes: () => readonly OwnedVolume[]
  readonly #log: Log
  readonly #timer: NodeJS.Timeout

  constructor(volumes: () => readonly OwnedVolume[], log: Log) {
    this.#volumes = volumes
    this.#log = log
    this.#timer = setInterval(() => void this.#clear(SEGMENT_QUIET_MS), CLEAR_EVERY_MS)
    this.#timer.unref()
  }

  /** More segments are active than the brick wants: the least recently written go, quiet or not. */
  aboveTarget(activeSegments: number): void {
    void this.#clear(0, Math.ceil(activeSegments / PART_CLEARED))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  async #clear(quietMs: number, atMost?: number): Promise<void> {
    // The brick's clock.
    const since = Date.now() - quietMs
    for (const volume of this.#volumes()) {
      try {
        await volume.segments.clearQuiet(since, atMost)
      } catch (err) {
        this.#log.warn({ volume: volume.name, err }, 'quiet segments could not be cleared')
      }
    }
  }
}
