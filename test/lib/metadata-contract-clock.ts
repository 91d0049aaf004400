import type { MonotonicClock } from '../../src/metadata/embedded/lease-clock.ts'

/** A clock that stands still until the test moves it. */
export class ManualClock implements MonotonicClock {
  #nowMs = 0
  #timers: { readonly atMs: number; readonly callback: () => void }[] = []

  nowMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Runs what falls due, in order of time. */
  advance(ms: number): void {
    this.#nowMs += ms
    for (;;) {
      const due = this.#timers.filter(timer => timer.atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) return
      this.#timers = this.#timers.filter(timer => timer !== due)
      due.callback()
    }
  }
}
