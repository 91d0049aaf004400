import { bootTimeMs } from '../lib/system-calls.ts'
import type { Timers } from '../replication/timers.ts'

/** The machine's clock for replication. */
export const bootTimers: Timers = {
  bootMs: bootTimeMs,
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}
