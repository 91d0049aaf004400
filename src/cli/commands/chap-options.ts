import type { Command } from 'commander'
import { CliError, ExitCode } from '../exit-codes.ts'
import { readSecret } from '../secret.ts'
import type { Terminal } from '../terminal.ts'

export interface ChapFlags {
  readonly user: string
  readonly secretFile: string
  readonly mutualUser?: string
  readonly mutualSecretFile?: string
}

export function addChapOptions(command: Command): Command {
  return command
    .requiredOption('--user <name>', 'name that the initiator proves')
    .requiredOption('--secret-file <file>', 'its secret, 12 to 255 bytes; - for standard input')
    .option('--mutual-user <name>', 'name that the target proves to the initiator')
    .option('--mutual-secret-file <file>', "the target's secret, another one; - for standard input")
}

/** The body of a CHAP request. Half of a mutual pair is a usage error. */
export async function readChap(flags: ChapFlags, terminal: Terminal): Promise<Record<string, string>> {
  const { user, secretFile, mutualUser, mutualSecretFile } = flags
  if ((mutualUser === undefined) !== (mutualSecretFile === undefined)) {
    throw new CliError(ExitCode.usage, '--mutual-user and --mutual-secret-file go together')
  }
  if (secretFile === '-' && mutualSecretFile === '-') {
    throw new CliError(ExitCode.usage, 'only one secret can come from standard input')
  }
  const secret = await readSecret(secretFile, terminal.stdin)
  if (mutualUser === undefined || mutualSecretFile === undefined) return { user, secret }
  return { user, secret, mutualUser, mutualSecret: await readSecret(mutualSecretFile, terminal.stdin) }
}
