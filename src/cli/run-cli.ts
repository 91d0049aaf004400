import { CommanderError } from 'commander'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { readVersion } from '../lib/version.ts'
import { CliError, ExitCode } from './exit-codes.ts'
import { buildProgram } from './program.ts'
import type { Terminal } from './terminal.ts'

/** Runs one command line and answers its exit code; a failure is one sentence on standard error. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const program = await buildProgram(terminal, argv, readVersion())
    await program.parseAsync(argv, { from: 'user' })
    return ExitCode.done
  } catch (error) {
    // Help and version that were asked for come this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.usage
    terminal.stderr.write(`holdfast: ${sentenceOf(error)}\n`)
    if (error instanceof HoldfastError && error.code === 'ERR_SIZE_INVALID') return ExitCode.usage
    return error instanceof CliError ? error.exitCode : ExitCode.refused
  }
}

function sentenceOf(error: unknown): string {
  if (error instanceof CliError || error instanceof HoldfastError) return error.message
  // A bug, or a connection that broke in the middle: the trace helps with the one, the code with the other.
  if (error instanceof Error)
    return (error as NodeJS.ErrnoException).code === undefined
      ? (error.stack ?? error.message)
      : error.message
  return String(error)
}
