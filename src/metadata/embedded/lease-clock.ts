/** Time for leases. Never the wall clock, which jumps. */
export interface MonotonicClock {
  nowMs(): number
  /** Calls back once after `delayMs`; the answer takes it back. */
  after(delayMs: number, callback: () => void): () => void
}

export const processClock: MonotonicClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Node's timers overflow at 2^31 ms; a longer wait looks again. */
const WAIT_MAX_MS = 60 * 60 * 1000

interface Lease {
  readonly ttlSeconds: number
  expiresAtMs: number
}

/** When each lease ends. It says which are over; deleting their keys is the store's work. */
export class LeaseClock {
  readonly #clock: MonotonicClock
  readonly #leases = new Map<bigint, Lease>()
  readonly #onExpired: (leases: readonly bigint[]) => void
  #cancel: (() => void) | null = null

  constructor(clock: MonotonicClock, onExpired: (leases: readonly bigint[]) => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** Starts the TTL afresh from now, for a new lease or after a restart. */
  add(lease: bigint, ttlSeconds: number): void {
    this.#leases.set(lease, { ttlSeconds, expiresAtMs: this.#clock.nowMs() + ttlSeconds * 1000 })
    this.#arm()
  }

  /** The TTL in seconds, or 0 when the lease is gone: one that is over is not revived, revoked or not. */
  renew(lease: bigint): number {
    const found = this.#leases.get(lease)
    const now = this.#clock.nowMs()
    if (found === undefined || now >= found.expiresAtMs) return 0
    found.expiresAtMs = now + found.ttlSeconds * 1000
    return found.ttlSeconds
  }

  remove(lease: bigint): void {
    this.#leases.delete(lease)
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#leases.clear()
  }

  #arm(): void {
    this.#cancel?.()
    this.#cancel = null
    let next = Number.POSITIVE_INFINITY
    for (const lease of this.#leases.values()) next = Math.min(next, lease.expiresAtMs)
    if (next === Number.POSITIVE_INFINITY) return
    const delay = Math.max(0, Math.min(next - this.#clock.nowMs(), WAIT_MAX_MS))
    this.#cancel = this.#clock.after(delay, () => this.#expire())
  }

  #expire(): void {
    const now = this.#clock.nowMs()
    const over = [...this.#leases].filter(([, lease]) => now >= lease.expiresAtMs).map(([id]) => id)
    for (const lease of over) this.#leases.delete(lease)
    if (over.length > 0) this.#onExpired(over)
    this.#arm()
  }
}
