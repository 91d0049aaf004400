import type { IoStats } from './io-stats.ts'

/** Ended commands of one pass whose latency waits for its end; more are settled earlier. */
const ENDED_MAX = 256

/**
 * Latencies for two looks at the clock per pass of the event loop instead of two per command (a look costs as
 * much as a small command does). A command counts from the start of the pass it came in until the end of the
 * pass that answered it, which is when its answer leaves.
 */
export class PassTimer {
  readonly #nowMs: () => number
  readonly #endPass = () => this.#end()
  // They grow to what one pass has ended at most: most of a thousand targets are quiet.
  readonly #startedAtMs: number[] = []
  readonly #stats: (IoStats | null)[] = []
  #ended = 0
  #passStartMs = 0
  #isInPass = false

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** The start of this pass, to be given to end(). */
  begin(): number {
    if (!this.#isInPass) this.#startPass()
    return this.#passStartMs
  }

  /** A command that began at `startedAtMs` has ended: its latency is added to `stats` when the pass ends. */
  end(stats: IoStats, startedAtMs: number): void {
    if (this.#ended === ENDED_MAX) this.#settle()
    this.#stats[this.#ended] = stats
    this.#startedAtMs[this.#ended] = startedAtMs
    this.#ended += 1
    if (!this.#isInPass) this.#startPass()
  }

  #startPass(): void {
    this.#isInPass = true
    this.#passStartMs = this.#nowMs()
    queueMicrotask(this.#endPass)
  }

  #end(): void {
    this.#isInPass = false
    if (this.#ended > 0) this.#settle()
  }

  #settle(): void {
    const nowMs = this.#nowMs()
    for (let at = 0; at < this.#ended; at++) {
      this.#stats[at]!.addLatency((nowMs - this.#startedAtMs[at]!) * 1000)
      this.#stats[at] = null
    }
    this.#ended = 0
  }
}
