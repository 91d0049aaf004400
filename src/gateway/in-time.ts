import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Timer, Timers } from '../replication/timers.ts'

/** The answer if it comes within `ms`; rejects with `late`, ERR_BLOCK_UNAVAILABLE, otherwise. */
export function inTime<T>(
  answer: Promise<T>,
  timers: Timers,
  ms: number,
  late = () => new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'another daemon does not answer in time'),
): Promise<T> {
  let timer: Timer | null = null
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = timers.after(ms, () => reject(late()))
  })
  return Promise.race([answer, tooLate]).finally(() => timer?.cancel())
}
