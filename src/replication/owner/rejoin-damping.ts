import type { Timers } from '../timers.ts'

/** A member that was ejected comes back after this, and after twice as long each time. PROTOCOL rule 22. */
const REST_MS_MIN = 10_000
const REST_MS_MAX = 600_000

/** When a brick that was ejected may come back: one that leaves again and again is let in less and less often. */
export class RejoinDamping {
  readonly #timers: Timers
  readonly #ejections = new Map<number, { count: number; atMs: number }>()

  constructor(timers: Timers) {
    this.#timers = timers
  }

  ejected(peerNumber: number): void {
    const now = this.#timers.bootMs()
    const before = this.#ejections.get(peerNumber)
    const calm = before === undefined || now - before.atMs > REST_MS_MAX
    this.#ejections.set(peerNumber, { count: calm ? 1 : before.count + 1, atMs: now })
  }

  /** bootMs; 0 for one that never was ejected from here. The first return is never kept waiting. */
  notBeforeMs(peerNumber: number): number {
    const ejection = this.#ejections.get(peerNumber)
    if (ejection === undefined || ejection.count === 1) return 0
    return ejection.atMs + Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (ejection.count - 2))
  }
}
