import type { Log } from '../lib/log.ts'
import type { ScrubProgress } from '../store/brick.ts'
import type { ScrubMemory } from './scrub-memory.ts'

const LOOK_EVERY_MS = 60_000

export interface ScrubScheduleOptions {
  /** From the end of a scrub to the next; 0 never starts one. */
  readonly intervalMs: number
  readonly memory: ScrubMemory
  readonly progress: () => ScrubProgress | null
  readonly start: () => Promise<unknown>
  readonly log: Log
  readonly now?: () => number
}

/** Starts a scrub when the last one has become too old, be it one of before the daemon was started. */
export class ScrubSchedule implements Disposable {
  readonly #options: ScrubScheduleOptions
  readonly #now: () => number
  #keptMs: number
  readonly #timer: NodeJS.Timeout | null

  constructor(options: ScrubScheduleOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#keptMs = options.memory.sinceMs
    this.#timer = options.intervalMs === 0 ? null : setInterval(() => void this.look(), LOOK_EVERY_MS)
    this.#timer?.unref()
  }

  async look(): Promise<void> {
    const { intervalMs, progress, start, log } = this.#options
    const last = progress()
    if (last !== null && last.endedAtMs === null) return
    const endedAtMs = last?.endedAtMs ?? this.#keptMs
    if (last !== null && endedAtMs > this.#keptMs && last.checkedBytes === last.totalBytes)
      await this.#keep(endedAtMs)
    if (this.#now() - endedAtMs < intervalMs) return
    try {
      await start()
      log.info({}, 'scrub started by schedule')
    } catch (error) {
      log.error({ err: error }, 'a scheduled scrub could not start')
    }
  }

  /** One that was stopped is not kept: only this daemon takes it for the last. */
  async #keep(endedAtMs: number): Promise<void> {
    const { memory, log } = this.#options
    this.#keptMs = endedAtMs
    await memory.keep(endedAtMs).catch(err => log.warn({ err }, 'the end of a scrub could not be kept'))
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }
}
