import type { Timers } from '../timers.ts'

/** A member that was ejected comes back after this, and after twice as long each time. PROTOCOL rule 22. */
const REST_MS_MIN = 10_000
const REST_MS_MAX = 600_000

interface Ejection {
  readonly count: number
  readonly atMs: number
  /** It has joined a set since. */
  isBack: boolean
}

/** When a brick that was ejected may come back: one that leaves again and again is let in less and less often. */
export class RejoinDamping {
  readonly #timers: Timers
  readonly #ejections = new Map<number, Ejection>()

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** Of a set of any volume. A peer that dies leaves all of them at once, which counts as one time. */
  ejected(peerNumber: number): void {
    const now = this.#timers.bootMs()
    const before = this.#ejections.get(peerNumber)
    const calm = before === undefined || now - before.atMs > REST_MS_MAX
    if (!calm && !before.isBack) return
    this.#ejections.set(peerNumber, { count: calm ? 1 : before.count + 1, atMs: now, isBack: false })
  }

  joined(peerNumber: number): void {
    const ejection = this.#ejections.get(peerNumber)
    if (ejection !== undefined) ejection.isBack = true
  }

  /** bootMs; 0 for one that never was ejected from here. The first return is never kept waiting. */
  notBeforeMs(peerNumber: number): number {
    const ejection = this.#ejections.get(peerNumber)
    if (ejection === undefined || ejection.count === 1) return 0
    return ejection.atMs + Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (ejection.count - 2))
  }
}
