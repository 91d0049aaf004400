import type { Clock } from '../../src/net/clock.ts'

/** Time that passes when a test says so. */
export class ManualClock implements Clock {
  #nowMs = 1_000
  readonly #repeated: (() => void)[] = []

  nowMs(): number {
    return this.#nowMs
  }

  repeat(_everyMs: number, fn: () => void): () => void {
    this.#repeated.push(fn)
    return () => {
      this.#repeated.splice(this.#repeated.indexOf(fn), 1)
    }
  }

  /** Lets time pass and everything that repeats happen once. */
  pass(ms: number): void {
    this.#nowMs += ms
    for (const fn of [...this.#repeated]) fn()
  }
}
