import { errnoName } from '../lib/system-calls.ts'

/** Why the brick refuses service. The first failure counts; only a new daemon on the brick ends it. */
export class StickyFailure {
  error: Error | null = null
  #told: (error: Error) => void

  constructor(told: (error: Error) => void) {
    this.#told = told
  }

  /** `what` names the failed call and its file; answers the error that stands. */
  set(what: string, errnoOrCause: unknown): Error {
    if (this.error !== null) return this.error
    const reason = typeof errnoOrCause === 'number' ? errnoName(errnoOrCause) : String(errnoOrCause)
    this.error = new Error(`${what} failed: ${reason}`, { cause: errnoOrCause })
    this.#told(this.error)
    return this.error
  }
}
