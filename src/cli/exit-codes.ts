/** What the shell sees. */
export const ExitCode = {
  done: 0,
  /** Refused or failed; one sentence is on standard error. */
  refused: 1,
  usage: 2,
  /** The daemon cannot be reached. */
  unreachable: 3,
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** A failure with the exit code that it ends the command with. The message is one sentence. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.exitCode = exitCode
  }
}
