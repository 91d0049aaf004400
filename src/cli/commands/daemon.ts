import { type Command, Option } from 'commander'
import type { ConfigField } from '../../config/fields.ts'
import type { Config } from '../../config/schema.ts'
import { addConfigOptions, configFlags } from '../daemon-options.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import type { Terminal } from '../terminal.ts'
import { parseCount } from './arguments.ts'

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
    .description('everything in one process: metadata, one brick, iSCSI and the API')
    .option('--peers <count>', 'bricks in this process: 1', parseCount)
    .option('--no-demo', "don't make the 1 GiB volume 'demo' in a new data directory")
    .addOption(new Option('--json', 'print JSON'))
  addConfigOptions(dev, fields).action(async (flags: DaemonFlags, command: Command) => {
    if (flags.peers !== undefined && flags.peers !== 1) {
      throw new CliError(ExitCode.usage, `this version keeps one copy: --peers takes 1, not ${flags.peers}`)
    }
    const config = await load(command, terminal, fields, undefined)
    await run(terminal, config, { demo: flags.demo !== false, json: flags.json === true })
  })

  const serve = program
    .command('serve')
    .description('the daemon, configured by a file, the environment and flags')
    .option('--config <file>', 'configuration, YAML or JSON (HOLDFAST_CONFIG)')
    .addOption(new Option('--json', 'print JSON'))
  addConfigOptions(serve, fields).action(async (flags: DaemonFlags, command: Command) => {
    const config = await load(command, terminal, fields, flags.config)
    await run(terminal, config, { demo: false, json: flags.json === true })
  })

  const config = program.command('config').description('the configuration')
  const printing = config
    .command('print')
    .description('print what is in effect, secrets masked')
    .option('--config <file>', 'configuration, YAML or JSON (HOLDFAST_CONFIG)')
    .addOption(new Option('--json', 'print JSON instead of YAML'))
  addConfigOptions(printing, fields).action(async (flags: DaemonFlags, command: Command) => {
    const effective = await load(command, terminal, fields, flags.config)
    const { printableConfig } = await import('../../config/print-config.ts')
    const printable = printableConfig(effective)
    if (command.optsWithGlobals<DaemonFlags>().json)
      terminal.stdout.write(`${JSON.stringify(printable, null, 2)}\n`)
    else terminal.stdout.write((await import('yaml')).stringify(printable))
  })
}

async function load(
  command: Command,
  terminal: Terminal,
  fields: readonly ConfigField[],
  file: string | undefined,
): Promise<Config> {
  const { loadConfig } = await import('../../config/load-config.ts')
  const { environment } = terminal
  return loadConfig({
    environment,
    flags: configFlags(command, fields),
    file: file ?? (command.name() === 'dev' ? undefined : environment.HOLDFAST_CONFIG),
  })
}

async function run(
  terminal: Terminal,
  config: Config,
  options: { demo: boolean; json: boolean },
): Promise<void> {
  const { runDaemon } = await import('../../daemon/run-daemon.ts')
  await runDaemon(config, terminal, options)
}
