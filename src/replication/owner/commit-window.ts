import { RECENT_OPERATIONS } from '../replica/recent-operations.ts'

/** Numbers the operations of an epoch and knows below which all have ended. PROTOCOL rule 16. */
export class CommitWindow {
  readonly #ended = new Uint8Array(RECENT_OPERATIONS)
  #last = 0
  #watermark = 0

  /** All operations up to this one are on every member, or never were sent. */
  get watermark(): number {
    return this.#watermark
  }

  /** 0 while the oldest that has not ended is as far back as a replica remembers. */
  next(): number {
    if (this.#last - this.#watermark >= RECENT_OPERATIONS - 1) return 0
    this.#last++
    return this.#last
  }

  end(operation: number): void {
    this.#ended[operation % RECENT_OPERATIONS] = 1
    while (this.#watermark < this.#last && this.#ended[(this.#watermark + 1) % RECENT_OPERATIONS] === 1) {
      this.#watermark++
      this.#ended[this.#watermark % RECENT_OPERATIONS] = 0
    }
  }
}
