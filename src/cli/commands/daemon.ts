import { type Command, Option } from 'commander'
import type { ConfigField } from '../../config/fields.ts'
import type { Config } from '../../config/schema.ts'
import { addConfigOptions } from '../daemon-options.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { loadConfiguration } from '../load-configuration.ts'
import type { Terminal } from '../terminal.ts'
import { parseCount } from './arguments.ts'

/** In one process more would only share the same two disks. */
const PEERS_MAX = 16

interface DaemonFlags {
  readonly config?: string
  readonly json?: boolean
  readonly demo?: boolean
  readonly peers?: number
}

/** `dev`, `serve` and `config`: everything that reads the configuration. Their code is loaded when they run. */
export function addDaemonCommands(
  program: Command,
  terminal: Terminal,
  fields: readonly ConfigField[],
): void {
  const dev = program
    .command('dev')
    .description('everything in one process: metadata, bricks, iSCSI, NBD and the API')
    .option(
      '--peers <count>',
      'peers in this process, each with a brick: 1 to 16 (as many as there are)',
      parseCount,
    )
    .option('--no-demo', "don't make the 1 GiB volume 'demo' in a new data directory")
    .addOption(new Option('--json', 'print JSON'))
  addConfigOptions(dev, fields).action(async (flags: DaemonFlags, command: Command) => {
    const peers = flags.peers ?? null
    if (peers !== null && (peers < 1 || peers > PEERS_MAX)) {
      throw new CliError(ExitCode.usage, `--peers takes 1 to ${PEERS_MAX}, not ${peers}`)
    }
    const config = await loadConfiguration(command, terminal, fields, undefined)
    await run(terminal, config, { demo: flags.demo !== false, json: asJson(command), peers })
  })

  const serve = program
    .command('serve')
    .description('the daemon, configured by a file, the environment and flags')
    .option('--config <file>', 'configuration, YAML or JSON (HOLDFAST_CONFIG)')
    .addOption(new Option('--json', 'print JSON'))
  addConfigOptions(serve, fields).action(async (flags: DaemonFlags, command: Command) => {
    const config = await loadConfiguration(
      command,
      terminal,
      fields,
      flags.config ?? terminal.environment.HOLDFAST_CONFIG,
    )
    await run(terminal, config, { demo: false, json: asJson(command), peers: null })
  })

  const config = program.command('config').description('the configuration')
  const printing = config
    .command('print')
    .description('print what is in effect, secrets masked')
    .option('--config <file>', 'configuration, YAML or JSON (HOLDFAST_CONFIG)')
    .addOption(new Option('--json', 'print JSON instead of YAML'))
  addConfigOptions(printing, fields).action(async (flags: DaemonFlags, command: Command) => {
    const effective = await loadConfiguration(
      command,
      terminal,
      fields,
      flags.config ?? terminal.environment.HOLDFAST_CONFIG,
    )
    const { printableConfig } = await import('../../config/print-config.ts')
    const printable = printableConfig(effective)
    if (asJson(command)) terminal.stdout.write(`${JSON.stringify(printable, null, 2)}\n`)
    else terminal.stdout.write((await import('yaml')).stringify(printable))
  })
}

/** Before the verb as well as behind it. */
function asJson(command: Command): boolean {
  return command.optsWithGlobals<DaemonFlags>().json === true
}

async function run(
  terminal: Terminal,
  config: Config,
  options: { demo: boolean; json: boolean; peers: number | null },
): Promise<void> {
  const { runDaemon } = await import('../../daemon/run-daemon.ts')
  await runDaemon(config, terminal, options)
}
