import type { Command } from 'commander'
import type { ConfigField } from '../config/fields.ts'
import type { Config } from '../config/schema.ts'
import { configFlags } from './daemon-options.ts'
import type { Terminal } from './terminal.ts'

/** The configuration of a command that has its fields as options. */
export async function loadConfiguration(
  command: Command,
  terminal: Terminal,
  fields: readonly ConfigField[],
  file: string | undefined,
): Promise<Config> {
  const { loadConfig } = await import('../config/load-config.ts')
  return loadConfig({
    environment: terminal.environment,
    flags: configFlags(command, fields),
    ...(file === undefined ? {} : { file }),
  })
}
