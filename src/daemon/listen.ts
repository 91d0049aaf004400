import { HoldfastError } from '../errors/holdfast-error.ts'
import { systemReason } from '../lib/system-error.ts'

/** Runs `listen` and turns what the system says into a sentence. Throws ERR_LISTEN. */
export async function listening<T>(what: string, at: string, listen: () => Promise<T>): Promise<T> {
  try {
    return await listen()
  } catch (error) {
    const message = `${what} cannot listen on ${at}: ${systemReason(error)}`
    throw new HoldfastError('ERR_LISTEN', message, { cause: error })
  }
}
