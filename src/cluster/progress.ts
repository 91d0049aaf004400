import { type Every, everyInterval } from '../lib/every.ts'

/** A process without progress for so long sends no heartbeat. PROTOCOL rule 22. */
export const PROGRESS_MS_MAX = 1000
const MARK_EVERY_MS = 100
const NS_PER_MS = 1_000_000n

/** When the main loop was last well, on the one clock that threads share. */
export class ProgressMark {
  readonly buffer: SharedArrayBuffer
  readonly #at: BigInt64Array
  readonly #nowNs: () => bigint

  constructor(
    buffer: SharedArrayBuffer = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT),
    nowNs: () => bigint = process.hrtime.bigint,
  ) {
    this.buffer = buffer
    this.#at = new BigInt64Array(buffer)
    this.#nowNs = nowNs
  }

  mark(): void {
    Atomics.store(this.#at, 0, this.#nowNs())
  }

  isFresh(): boolean {
    return this.#nowNs() - Atomics.load(this.#at, 0) <= BigInt(PROGRESS_MS_MAX) * NS_PER_MS
  }
}

/** Marks progress while the loop turns and the oldest operation of the brick is younger than the bound. */
export class ProgressWatch implements Disposable {
  readonly mark: ProgressMark
  readonly #stop: () => void

  constructor(mark: ProgressMark, oldestIoMs: () => number, every: Every = everyInterval) {
    this.mark = mark
    const look = () => {
      if (oldestIoMs() <= PROGRESS_MS_MAX) mark.mark()
    }
    look()
    this.#stop = every(MARK_EVERY_MS, look)
  }

  [Symbol.dispose](): void {
    this.#stop()
  }
}
