import type { Timer, Timers } from '../../src/replication/timers.ts'

/** Time that passes only when a test says so. */
export class ManualTimers implements Timers {
  now = 1000
  readonly #due: { at: number; fn: () => void }[] = []

  bootMs(): number {
    return this.now
  }

  after(ms: number, fn: () => void): Timer {
    const entry = { at: this.now + ms, fn }
    this.#due.push(entry)
    return {
      cancel: () => {
        const at = this.#due.indexOf(entry)
        if (at >= 0) this.#due.splice(at, 1)
      },
    }
  }

  pass(ms: number): void {
    this.now += ms
    for (const entry of [...this.#due]) {
      if (entry.at > this.now) continue
      this.#due.splice(this.#due.indexOf(entry), 1)
      entry.fn()
    }
  }
}
