import type { Command } from 'commander'
import type { ConfigField } from '../config/fields.ts'
import type { Config } from '../config/schema.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { configFlags } from './daemon-options.ts'
import { CliError, ExitCode } from './exit-codes.ts'
import type { Terminal } from './terminal.ts'

/** The configuration of a command that has its fields as options. */
export async function loadConfiguration(
  command: Command,
  terminal: Terminal,
  fields: readonly ConfigField[],
  file: string | undefined,
): Promise<Config> {
  const { loadConfig } = await import('../config/load-config.ts')
  try {
    return loadConfig({
      environment: terminal.environment,
      flags: configFlags(command, fields),
      ...(file === undefined ? {} : { file }),
    })
  } catch (error) {
    // The sentence begins with where the value was given.
    const isOfFlag = error instanceof HoldfastError && error.message.startsWith('--')
    throw isOfFlag ? new CliError(ExitCode.usage, error.message, { cause: error }) : error
  }
}
