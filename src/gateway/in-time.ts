import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Timer, Timers } from '../replication/timers.ts'

/** The answer if it comes within `ms`; rejects with ERR_BLOCK_UNAVAILABLE otherwise. */
export function inTime<T>(answer: Promise<T>, timers: Timers, ms: number): Promise<T> {
  let timer: Timer | null = null
  const late = new Promise<never>((_resolve, reject) => {
    const error = new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'another daemon does not answer in time')
    timer = timers.after(ms, () => reject(error))
  })
  return Promise.race([answer, late]).finally(() => timer?.cancel())
}
