import { TokenBucket } from '../../lib/token-bucket.ts'
import type { Timers } from '../timers.ts'
import type { CopyBudget } from './resync-ports.ts'

/** May be moved at once after a pause. */
const BURST_BYTES = 4 * 1024 * 1024

/** The bandwidth that resyncs, moves and re-creations of a daemon share. */
export class SharedBudget implements CopyBudget {
  readonly #timers: Timers
  #bucket: TokenBucket

  constructor(bytesPerSecond: number, timers: Timers) {
    this.#timers = timers
    this.#bucket = new TokenBucket(bytesPerSecond, BURST_BYTES, timers.bootMs())
  }

  /** From now on; what waits already waits as long as it was told. */
  limit(bytesPerSecond: number): void {
    this.#bucket = new TokenBucket(bytesPerSecond, BURST_BYTES, this.#timers.bootMs())
  }

  take(bytes: number): Promise<void> {
    const waitMs = this.#bucket.take(bytes, this.#timers.bootMs())
    if (waitMs === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#timers.after(waitMs, resolve)
    })
  }
}
