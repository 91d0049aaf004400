import type { Writable } from 'node:stream'
import { systemReason } from '../lib/system-error.ts'
import { ExitCode } from './exit-codes.ts'

/** Follows what becomes of standard output: a pipe may still take it when the command has ended. */
export class StandardOutput {
  readonly #stream: Writable
  #error: NodeJS.ErrnoException | null = null

  constructor(stream: Writable) {
    this.#stream = stream
    stream.on('error', error => {
      this.#error ??= error
    })
  }

  /** The exit code of a command that ended with `code`, when everything was taken or could not be. */
  async end(code: ExitCode, stderr: Writable): Promise<ExitCode> {
    await new Promise<void>(resolve => {
      this.#stream.write('', () => resolve())
    })
    // `holdfast … | head` closes it early, which is no failure.
    if (code !== ExitCode.done || this.#error === null || this.#error.code === 'EPIPE') return code
    stderr.write(`holdfast: standard output cannot be written: ${systemReason(this.#error)}\n`)
    return ExitCode.refused
  }
}
