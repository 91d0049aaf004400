import { setTimeout as delay } from 'node:timers/promises'

/** The time as sanitizing needs it; the simulator has one of its own. */
export interface SanitizeClock {
  nowMs(): number
  /** Resolves after so long, or as soon as the signal is given. */
  pause(ms: number, until: AbortSignal): Promise<void>
}

export const realSanitizeClock: SanitizeClock = {
  nowMs: () => performance.now(),
  pause: (ms, signal) => delay(ms, undefined, { signal }).catch(() => {}),
}
