import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { systemReason } from '../lib/system-error.ts'
import { ApiClient, DEFAULT_API_URL } from './api-client.ts'
import { CliError, ExitCode } from './exit-codes.ts'
import { print } from './output.ts'
import type { Terminal } from './terminal.ts'

interface ClientFlags {
  readonly api?: string
  readonly apiTokenFile?: string
  readonly apiCa?: string
  readonly json?: boolean
}

/** What a command that talks to a daemon works with. */
export interface CommandContext {
  readonly client: ApiClient
  readonly terminal: Terminal
  readonly json: boolean
  /** Answers on standard output: the data itself with --json, else the text. */
  print(data: unknown, text: () => string): void
}

/** --api and --json, understood before and after the verb. */
export function addClientOptions(command: Command): Command {
  return command
    .addOption(new Option('--api <url>', `the daemon's API (HOLDFAST_API; ${DEFAULT_API_URL})`))
    .addOption(new Option('--api-token-file <file>', 'bearer token of the API (or HOLDFAST_API_TOKEN)'))
    .addOption(new Option('--api-ca <file>', 'authority of the API certificate, PEM (HOLDFAST_API_CA)'))
    .addOption(new Option('--json', 'print JSON'))
}

/** Throws a CliError when a named file cannot be read. */
export function contextOf(command: Command, terminal: Terminal): CommandContext {
  const flags = command.optsWithGlobals<ClientFlags>()
  const { environment } = terminal
  const tokenFile = flags.apiTokenFile ?? environment.HOLDFAST_API_TOKEN_FILE
  const caFile = flags.apiCa ?? environment.HOLDFAST_API_CA
  const token =
    tokenFile === undefined
      ? environment.HOLDFAST_API_TOKEN
      : read('the token file', tokenFile).toString('utf8').split('\n')[0]!.trim()
  const json = flags.json === true
  return {
    terminal,
    json,
    client: new ApiClient({
      url: flags.api ?? environment.HOLDFAST_API ?? DEFAULT_API_URL,
      token: token === undefined || token === '' ? null : token,
      ca: caFile === undefined ? null : read('the certificate authority', caFile),
      notice: sentence => void terminal.stderr.write(`holdfast: ${sentence}\n`),
    }),
    print: (data, text) => print(terminal.stdout, json, data, text),
  }
}

function read(what: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new CliError(ExitCode.refused, `${what} ${file} cannot be read: ${systemReason(error)}`)
  }
}
