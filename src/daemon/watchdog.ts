import { IoStats } from '../lib/io-stats.ts'
import type { Log } from '../lib/log.ts'

/** How often the loop is looked at: a stall of STALL_MS is seen for certain, at 20 wake-ups a second. */
const LOOK_MS = 50
/** A stall that a client of the daemon would notice. */
const STALL_MS = 100
/** Stalls are logged no more often; what came meanwhile is in the next line. */
const LOG_MS_MIN = 10_000

/** Notices when the event loop stands still, for the log and for /metrics. */
export class Watchdog implements Disposable {
  readonly #log: Log
  readonly #delay = new IoStats()
  readonly #timer: NodeJS.Timeout
  #expectedAtMs = performance.now() + LOOK_MS
  #stalls = 0
  #longestMs = 0
  #loggedAtMs = Number.NEGATIVE_INFINITY
  #unloggedStalls = 0

  constructor(log: Log) {
    this.#log = log
    this.#timer = setInterval(() => this.looked(performance.now()), LOOK_MS)
    this.#timer.unref()
  }

  get stalls(): number {
    return this.#stalls
  }

  get longestMs(): number {
    return this.#longestMs
  }

  /** Delays by power of two of microseconds. */
  get delay(): IoStats['latency'] {
    return this.#delay.latency
  }

  get delaySumUs(): number {
    return this.#delay.latencySumUs
  }

  /** The timer came round at `nowMs` of the monotonic clock. */
  looked(nowMs: number): void {
    const lateMs = Math.max(0, nowMs - this.#expectedAtMs)
    this.#expectedAtMs = nowMs + LOOK_MS
    this.#delay.addLatency(lateMs * 1000)
    if (lateMs <= STALL_MS) return
    this.#stalls++
    this.#longestMs = Math.max(this.#longestMs, lateMs)
    if (nowMs - this.#loggedAtMs < LOG_MS_MIN) {
      this.#unloggedStalls++
      return
    }
    const fields = { stallMs: Math.round(lateMs), unloggedStalls: this.#unloggedStalls }
    this.#log.warn(fields, 'event loop stalled')
    this.#loggedAtMs = nowMs
    this.#unloggedStalls = 0
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
