import { type OperationQueue, type RangeEntry, RangeHold } from '../../volume/operation-queue.ts'
import type { HeldBlocks } from '../resync/resync-ports.ts'

/** Block locks over a range for what is no client's operation: copies, reconcile, repair. PROTOCOL rule 9. */
export class SpanHold implements RangeEntry, HeldBlocks {
  readonly hold = RangeHold.write
  waiting = false
  nextEntry: RangeEntry | null = null
  previousEntry: RangeEntry | null = null
  readonly startBytes: number
  readonly endBytes: number
  /** Resolves when nothing else holds any of it. */
  readonly begun: Promise<void>
  readonly queue: OperationQueue
  #begin!: () => void
  #released = false

  /** `enters` false: the caller has it enter. */
  constructor(queue: OperationQueue, startBytes: number, endBytes: number, enters = true) {
    this.queue = queue
    this.startBytes = startBytes
    this.endBytes = endBytes
    this.begun = new Promise(resolve => {
      this.#begin = resolve
    })
    if (enters) queue.enter(this)
  }

  /** Of spans that do not overlap each other, ahead of operations that wait already. */
  static allAhead(
    queue: OperationQueue,
    spans: readonly { readonly startBytes: number; readonly endBytes: number }[],
  ): SpanHold[] {
    const holds = spans.map(({ startBytes, endBytes }) => new SpanHold(queue, startBytes, endBytes, false))
    queue.enterAhead(holds)
    return holds
  }

  begin(): void {
    this.#begin()
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.queue.leave(this)
  }
}
