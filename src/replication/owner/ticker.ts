import type { Timer, Timers } from '../timers.ts'
import type { Ownership } from './ownership.ts'

const TICK_MS = 100

/** Has all volumes that are owned here looked at ten times a second: one timer, not one for each of a thousand. */
export class Ticker {
  readonly #timers: Timers
  readonly #owned: () => Iterable<Ownership>
  #timer: Timer | null = null

  constructor(timers: Timers, owned: () => Iterable<Ownership>) {
    this.#timers = timers
    this.#owned = owned
    this.#later()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #later(): void {
    this.#timer = this.#timers.after(TICK_MS, () => {
      const now = this.#timers.bootMs()
      for (const ownership of this.#owned()) ownership.tick(now)
      this.#later()
    })
  }
}
