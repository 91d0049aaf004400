import type { Log } from '../lib/log.ts'
import type { ScrubProgress } from '../store/brick.ts'

const LOOK_EVERY_MS = 60_000

export interface ScrubScheduleOptions {
  /** From the end of a scrub, or the start of the daemon, to the next; 0 never starts one. */
  readonly intervalMs: number
  readonly progress: () => ScrubProgress | null
  readonly start: () => Promise<unknown>
  readonly log: Log
  readonly now?: () => number
}

/** Starts a scrub when the last one has become too old. */
export class ScrubSchedule implements Disposable {
  readonly #options: ScrubScheduleOptions
  readonly #now: () => number
  readonly #beganAtMs: number
  readonly #timer: NodeJS.Timeout | null

  constructor(options: ScrubScheduleOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#beganAtMs = this.#now()
    this.#timer = options.intervalMs === 0 ? null : setInterval(() => void this.look(), LOOK_EVERY_MS)
    this.#timer?.unref()
  }

  async look(): Promise<void> {
    const { intervalMs, progress, start, log } = this.#options
    const last = progress()
    if (last !== null && last.endedAtMs === null) return
    if (this.#now() - (last?.endedAtMs ?? this.#beganAtMs) < intervalMs) return
    try {
      await start()
      log.info({}, 'scrub started by schedule')
    } catch (error) {
      log.error({ err: error }, 'a scheduled scrub could not start')
    }
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }
}
