import { Command } from 'commander'
import type { ConfigField } from '../config/fields.ts'
import { addClusterCommands } from './commands/cluster.ts'
import { addDaemonCommands } from './commands/daemon.ts'
import { addOperationCommands } from './commands/operations.ts'
import { addPeerCommands } from './commands/peer.ts'
import { addScrubCommands } from './commands/scrub.ts'
import { addTargetCommands } from './commands/target.ts'
import { addVolumeCommands } from './commands/volume.ts'
import { addClientOptions } from './context.ts'
import type { Terminal } from './terminal.ts'

/** Commands whose options are the configuration's fields. */
const CONFIGURED = new Set(['dev', 'serve', 'config', 'cluster', 'help'])

/** The whole command line. Fields of the configuration are loaded only when a command has them as options. */
export async function buildProgram(
  terminal: Terminal,
  argv: readonly string[],
  version: string,
): Promise<Command> {
  let fields: readonly ConfigField[] = []
  if (argv.some(argument => CONFIGURED.has(argument)))
    fields = (await import('../config/fields.ts')).configFields
  const program = new Command('holdfast')
    .description('Replicated block volumes over iSCSI and NBD from the disks of ordinary Linux machines.')
    .version(version, '--version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: text => terminal.stdout.write(text),
      writeErr: text => terminal.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'holdfast: ')),
    })
  addClientOptions(program)
  addDaemonCommands(program, terminal, fields)
  addVolumeCommands(program, terminal)
  addTargetCommands(program, terminal)
  addOperationCommands(program, terminal)
  addPeerCommands(program, terminal)
  addScrubCommands(program, terminal)
  addClusterCommands(program, terminal, fields)
  return program
}
