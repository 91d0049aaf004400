import { type FileHandle, open, rm } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import type { ConfigField } from '../../config/fields.ts'
import { systemReason } from '../../lib/system-error.ts'
import { addConfigOptions } from '../daemon-options.ts'
import { CliError, ExitCode } from '../exit-codes.ts'
import { loadConfiguration } from '../load-configuration.ts'
import { print } from '../output.ts'
import { readSecret } from '../secret.ts'
import type { Terminal } from '../terminal.ts'

const OWNER_ONLY = 0o600

interface ClusterFlags {
  readonly config?: string
  readonly json?: boolean
}

interface TokenFlags extends ClusterFlags {
  readonly tokenFile?: string
}

/** `cluster`: before there is a daemon, so these speak to etcd and write the data directory themselves. */
export function addClusterCommands(
  program: Command,
  terminal: Terminal,
  fields: readonly ConfigField[],
): void {
  const cluster = program.command('cluster').description('several daemons on one etcd')
  const verb = (name: string, description: string) =>
    addConfigOptions(
      cluster
        .command(name)
        .description(description)
        .option('--config <file>', 'configuration, YAML or JSON (HOLDFAST_CONFIG)')
        .addOption(new Option('--json', 'print JSON')),
      fields,
    )
  const configOf = async (flags: ClusterFlags, command: Command) => {
    const file = flags.config ?? terminal.environment.HOLDFAST_CONFIG
    const config = await loadConfiguration(command, terminal, fields, file)
    if (config.etcd.urls.length === 0)
      throw new CliError(ExitCode.usage, 'a cluster of several daemons needs etcd: give --etcd URL')
    return config
  }
  const asJson = (command: Command) => command.optsWithGlobals<ClusterFlags>().json

  verb('init', 'found a cluster in etcd, and print the token that joining needs')
    .option('--token-file <file>', 'write the token there, for its owner only, instead of printing it')
    .action(async (flags: TokenFlags, command: Command) => {
      const config = await configOf(flags, command)
      const { foundCluster } = await import('../../daemon/cluster-setup.ts')
      const shown = await keepToken(flags.tokenFile, () => foundCluster(config))
      const { clusterId, token } = shown
      print(terminal.stdout, asJson(command), shown, () => {
        const needs = token === undefined ? '' : `; joining it needs this token:\n${token}`
        return `cluster ${clusterId} founded${needs}\n`
      })
    })

  verb('join', 'make the data directory that of a peer; then start the daemon with serve')
    .requiredOption('--token-file <file>', 'the token of cluster init or cluster token; - for standard input')
    .action(async (flags: ClusterFlags & { tokenFile: string }, command: Command) => {
      const config = await configOf(flags, command)
      if (config.peer.name === null)
        throw new CliError(ExitCode.usage, 'joining needs a name for this peer: give --peer-name')
      const token = await readSecret(flags.tokenFile, terminal.stdin)
      const { joinWithToken } = await import('../../daemon/cluster-setup.ts')
      const { clusterId, peerId, peerNumber } = await joinWithToken(config, token)
      const joined = { clusterId, peer: peerId, number: peerNumber }
      const text = `peer '${peerId}' joined cluster ${clusterId} as number ${peerNumber}\n`
      print(terminal.stdout, asJson(command), joined, () => text)
    })

  verb('token', 'print a new token; the one before is worth nothing then')
    .option('--token-file <file>', 'write the token there, for its owner only, instead of printing it')
    .action(async (flags: TokenFlags, command: Command) => {
      const config = await configOf(flags, command)
      const { renewToken } = await import('../../daemon/cluster-setup.ts')
      const shown = await keepToken(flags.tokenFile, () => renewToken(config))
      print(terminal.stdout, asJson(command), shown, () => `${shown.token ?? 'the token was replaced'}\n`)
    })
}

/** What `make` answers, its token in the file if there is one. A token that was there stays until there is another. */
async function keepToken<T extends { token: string }>(
  file: string | undefined,
  make: () => Promise<T>,
): Promise<Omit<T, 'token'> & { token?: string }> {
  if (file === undefined) return make()
  // Before there is a token: one that could not be written would be lost, and the cluster founded.
  const handle = await openTokenFile(file)
  const isNew = (await handle.stat()).size === 0
  try {
    const { token, ...rest } = await make()
    await handle.truncate()
    await handle.writeFile(`${token}\n`)
    return rest
  } catch (error) {
    if (isNew) await rm(file, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

async function openTokenFile(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file, 'a', OWNER_ONLY)
    await handle.chmod(OWNER_ONLY)
    return handle
  } catch (error) {
    throw new CliError(ExitCode.refused, `the token file ${file} cannot be written: ${systemReason(error)}`)
  }
}
