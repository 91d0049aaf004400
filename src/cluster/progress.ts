/** A process without progress for so long sends no heartbeat. PROTOCOL rule 22. */
export const PROGRESS_MS_MAX = 1000
const MARK_EVERY_MS = 100
const NS_PER_MS = 1_000_000n

/** When the main loop was last well, on the one clock that threads share. */
export class ProgressMark {
  readonly buffer: SharedArrayBuffer
  readonly #at: BigInt64Array

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer
    this.#at = new BigInt64Array(buffer)
  }

  mark(nowNs: bigint = process.hrtime.bigint()): void {
    Atomics.store(this.#at, 0, nowNs)
  }

  isFresh(nowNs: bigint = process.hrtime.bigint()): boolean {
    return nowNs - Atomics.load(this.#at, 0) <= BigInt(PROGRESS_MS_MAX) * NS_PER_MS
  }
}

/** Marks progress while the loop turns and the oldest operation of the brick is younger than the bound. */
export class ProgressWatch implements Disposable {
  readonly mark: ProgressMark
  readonly #timer: NodeJS.Timeout

  constructor(mark: ProgressMark, oldestIoMs: () => number) {
    this.mark = mark
    const look = () => {
      if (oldestIoMs() <= PROGRESS_MS_MAX) mark.mark()
    }
    look()
    this.#timer = setInterval(look, MARK_EVERY_MS)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
