/** Time as control sees it; the simulator brings its own. */
export interface Clock {
  /** Calls `fn` once, `ms` from now at the earliest. A timer alone does not keep a process up. */
  after(ms: number, fn: () => void): { cancel(): void }
}

export const wallClock: Clock = {
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}
