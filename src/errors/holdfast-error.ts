import { type CauseCode, causes } from './causes.ts'

/** An error for a person: a code of the table and one sentence that names the thing at fault and what to do. */
export class HoldfastError extends Error {
  override readonly name = 'HoldfastError'
  readonly code: CauseCode

  constructor(code: CauseCode, message: string = causes[code].says, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  get httpStatus(): number {
    return causes[this.code].http
  }
}
