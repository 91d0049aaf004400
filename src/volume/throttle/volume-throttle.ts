import { BlockKind, type BlockOperation } from '../../block/block-operation.ts'
import { TokenBucket } from '../../lib/token-bucket.ts'
import type { VolumeLimits } from './volume-limits.ts'

/** A timer is late by a few milliseconds: a smaller burst than this much of the rate would not let the rate be reached. */
const BURST_MS_MIN = 20

/** Time as the throttle sees it: monotonic milliseconds with a fraction, and one call later. */
export interface ThrottleTimers {
  bootMs(): number
  after(ms: number, fn: () => void): { cancel(): void }
}

/** Operations that had to wait for a limit, and how long all of them together. Only ever rise. */
export interface ThrottleCounters {
  operations: number
  waitedMs: number
}

/** An operation that can wait here. While it does, the links are ours. */
export interface ThrottledTask<T> {
  readonly operation: BlockOperation
  throttledSinceMs: number
  nextThrottled: T | null
  /** It may go on: it has been paid for. */
  throttleEnded(): void
}

function burstOf(burst: number | null, perSecond: number): number {
  return Math.max(1, burst ?? perSecond, (perSecond * BURST_MS_MIN) / 1000)
}

/** The bucket for this limit: the one that there is, changed, or a full one. */
function bucketFor(
  bucket: TokenBucket | null,
  perSecond: number | null,
  burst: number | null,
  nowMs: number,
): TokenBucket | null {
  if (perSecond === null) return null
  if (bucket === null) return new TokenBucket(perSecond, burstOf(burst, perSecond), nowMs)
  bucket.change(perSecond, burstOf(burst, perSecond), nowMs)
  return bucket
}

/** Bytes that an operation moves; zeroes, trims and flushes move none. */
function bytesOf({ kind, lengthBytes }: BlockOperation): number {
  return kind === BlockKind.trim || kind === BlockKind.zero || kind === BlockKind.flush ? 0 : lengthBytes
}

/**
 * Holds the clients of one volume to its limits. What comes too early waits in the order of its arrival, whoever it is
 * from, and nothing overtakes it; nothing is ever refused for it.
 */
export class VolumeThrottle<T extends ThrottledTask<T>> {
  readonly #timers: ThrottleTimers
  readonly #counters: ThrottleCounters
  #operations: TokenBucket | null = null
  #bytes: TokenBucket | null = null
  #first: T | null = null
  #last: T | null = null
  #timer: { cancel(): void } | null = null

  constructor(timers: ThrottleTimers, counters: ThrottleCounters) {
    this.#timers = timers
    this.#counters = counters
  }

  /** The limits from now on. What waits goes on as they allow, all of it when there are none left. */
  set({ iops, iopsBurst, bytesPerSecond, burstBytes }: VolumeLimits): void {
    const nowMs = this.#timers.bootMs()
    this.#operations = bucketFor(this.#operations, iops, iopsBurst, nowMs)
    this.#bytes = bucketFor(this.#bytes, bytesPerSecond, burstBytes, nowMs)
    this.#timer?.cancel()
    this.#timer = null
    this.#advance()
  }

  /** Whether an operation that moves `lengthBytes` may go on at once. spend() follows when it does. */
  passes(lengthBytes: number): boolean {
    return this.#first === null && this.#waitMs(lengthBytes, this.#timers.bootMs()) === 0
  }

  spend(lengthBytes: number): void {
    this.#spend(lengthBytes, this.#timers.bootMs())
  }

  /** Takes the operation's turn, and answers true, or keeps it until that comes: throttleEnded() follows. */
  enter(task: T): boolean {
    const nowMs = this.#timers.bootMs()
    const lengthBytes = bytesOf(task.operation)
    if (this.#first === null && this.#waitMs(lengthBytes, nowMs) === 0) {
      this.#spend(lengthBytes, nowMs)
      return true
    }
    task.throttledSinceMs = nowMs
    task.nextThrottled = null
    if (this.#last === null) this.#first = task
    else this.#last.nextThrottled = task
    this.#last = task
    this.#counters.operations++
    this.#lookLater(nowMs)
    return false
  }

  /** Takes out, unpaid, what waits and is chosen; answers it in its order. */
  takeOut(isChosen: (task: T) => boolean): T[] {
    const waiting: T[] = []
    for (let task = this.#first; task !== null; task = task.nextThrottled) waiting.push(task)
    const taken = waiting.filter(isChosen)
    if (taken.length === 0) return taken
    const nowMs = this.#timers.bootMs()
    for (const task of taken) this.#counters.waitedMs += nowMs - task.throttledSinceMs
    const left = waiting.filter(task => !isChosen(task))
    for (const [at, task] of left.entries()) task.nextThrottled = left[at + 1] ?? null
    this.#first = left[0] ?? null
    this.#last = left.at(-1) ?? null
    return taken
  }

  #waitMs(lengthBytes: number, nowMs: number): number {
    const forTurn = this.#operations === null ? 0 : this.#operations.waitMs(1, nowMs)
    const forBytes = this.#bytes === null || lengthBytes === 0 ? 0 : this.#bytes.waitMs(lengthBytes, nowMs)
    return Math.max(forTurn, forBytes)
  }

  #spend(lengthBytes: number, nowMs: number): void {
    this.#operations?.take(1, nowMs)
    if (lengthBytes > 0) this.#bytes?.take(lengthBytes, nowMs)
  }

  #lookLater(nowMs: number): void {
    if (this.#timer !== null || this.#first === null) return
    const waitMs = this.#waitMs(bytesOf(this.#first.operation), nowMs)
    this.#timer = this.#timers.after(waitMs, () => {
      this.#timer = null
      this.#advance()
    })
  }

  #advance(): void {
    const nowMs = this.#timers.bootMs()
    for (let task = this.#first; task !== null; task = this.#first) {
      const lengthBytes = bytesOf(task.operation)
      if (this.#waitMs(lengthBytes, nowMs) > 0) break
      this.#spend(lengthBytes, nowMs)
      this.#first = task.nextThrottled
      if (this.#first === null) this.#last = null
      this.#counters.waitedMs += nowMs - task.throttledSinceMs
      task.throttleEnded()
    }
    this.#lookLater(nowMs)
  }
}
