import type { Log } from '../lib/log.ts'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import { SEGMENT_QUIET_MS } from '../volume/segment-keeper.ts'

const CLEAR_EVERY_MS = 5_000
/** Of the active segments of a brick that has too many. PROTOCOL rule 11. */
const PART_CLEARED = 8
/** What is being written to stays even then: the segments that are too many may be of volumes that others own. */
const QUIET_ENOUGH_MS = 5_000

/** Orders the quiet segments of the volumes that are owned here to be cleared on every member. */
export class QuietSegments implements Disposable {
  readonly #volumes: () => readonly OwnedVolume[]
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  #aboveTarget = false

  constructor(volumes: () => readonly OwnedVolume[], log: Log) {
    this.#volumes = volumes
    this.#log = log
    this.#timer = setInterval(() => void this.#clear(SEGMENT_QUIET_MS), CLEAR_EVERY_MS)
    this.#timer.unref()
  }

  /**
   * More segments are active than a brick wants: the least recently written go sooner. Of each volume, since the
   * brick does not say whose they are; one such clearing at a time.
   */
  aboveTarget(activeSegments: number): void {
    if (this.#aboveTarget) return
    this.#aboveTarget = true
    void this.#clear(QUIET_ENOUGH_MS, Math.ceil(activeSegments / PART_CLEARED)).finally(() => {
      this.#aboveTarget = false
    })
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
