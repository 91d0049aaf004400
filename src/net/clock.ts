/** Time as a server sees it; tests bring their own. */
export interface Clock {
  /** Monotonic, milliseconds with a fraction. */
  nowMs(): number
  /** Calls `fn` about every `everyMs`, without keeping the process alive; answers how to stop that. */
  repeat(everyMs: number, fn: () => void): () => void
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  repeat(everyMs, fn) {
    const timer = setInterval(fn, everyMs)
    timer.unref()
    return () => clearInterval(timer)
  },
}
