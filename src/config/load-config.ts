import { readFileSync } from 'node:fs'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { issueSentence } from '../lib/issue-sentence.ts'
import { systemReason } from '../lib/system-error.ts'
import type { ConfigField } from './fields.ts'
import { formatHostPort, isLoopback, isWildcard } from './host-port.ts'
import { type Config, configSchema } from './schema.ts'
import { type GivenValue, readEnvironmentValues, readFileValues, readFlagValues } from './sources.ts'

export interface ConfigSources {
  readonly file?: string
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** By key, as the command line gave them. */
  readonly flags?: Readonly<Record<string, unknown>>
  readonly readFile?: (name: string) => string
}

/**
 * Flags win over the environment, that over the file, that over the defaults. The answer is frozen.
 * Throws ERR_CONFIG_INVALID with a sentence that names the value at fault and where it was given.
 */
export function loadConfig(sources: ConfigSources): Config {
  const readFile = sources.readFile ?? readTextFile
  const given = [
    ...(sources.file === undefined ? [] : readFileValues(readFile(sources.file), sources.file)),
    ...readEnvironmentValues(sources.environment ?? {}),
    ...readFlagValues(sources.flags ?? {}),
  ]
  const config = decode(given)
  const withSecrets = {
    ...config,
    api: { ...config.api, token: tokenOf(config, readFile) },
    etcd: { ...config.etcd, password: etcdPasswordOf(config, readFile) },
  }
  checkTogether(withSecrets)
  return deepFreeze(withSecrets)
}

function decode(given: readonly GivenValue[]): Config {
  const origins = new Map<string, string>()
  const raw: Record<string, unknown> = {}
  for (const { field, value, origin } of given) {
    put(raw, field, value)
    origins.set(field.path.join('.'), origin)
  }
  const result = configSchema.safeParse(raw, { error: issueSentence })
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  const origin = [...origins].find(([path]) => `${issue.path.join('.')}.`.startsWith(`${path}.`))?.[1]
  const what = issue.code === 'invalid_union' ? 'has the wrong type' : issue.message
  throw invalid(`${origin ?? issue.path.join('.')}: ${what.charAt(0).toLowerCase()}${what.slice(1)}`)
}

function put(raw: Record<string, unknown>, field: ConfigField, value: unknown): void {
  let at = raw
  for (const part of field.path.slice(0, -1)) {
    at[part] ??= {}
    at = at[part] as Record<string, unknown>
  }
  at[field.path.at(-1)!] = value
}

function tokenOf(config: Config, readFile: (name: string) => string): string | null {
  const { token, tokenFile } = config.api
  if (tokenFile === null) return token
  if (token !== null) throw invalid('give api.token or api.tokenFile, not both')
  const line = readFile(tokenFile).split('\n')[0]!.trim()
  if (line.length < 16) throw invalid(`the token in ${tokenFile} must have 16 characters or more`)
  return line
}

function etcdPasswordOf({ etcd }: Config, readFile: (name: string) => string): string | null {
  if (etcd.passwordFile === null) return etcd.password
  if (etcd.password !== null) throw invalid('give etcd.password or etcd.passwordFile, not both')
  return readFile(etcd.passwordFile).split('\n')[0]!.trim()
}

function checkTogether(config: Config): void {
  if (config.advertiseIscsi.length > config.iscsi.listen.length) {
    throw invalid('there are more advertise-iscsi addresses than iscsi listeners')
  }
  checkNbd(config)
  checkEtcd(config)
  checkPeer(config)
  const { listen, tls, token } = config.api
  if (!isLoopback(listen.host) && (tls === null || token === null)) {
    const address = formatHostPort(listen)
    throw invalid(
      `the API on ${address} can be reached by others, so it needs api.tls and api.token (or api.tokenFile)`,
    )
  }
}

function checkNbd({ nbd, advertiseNbd, tlsDir }: Config): void {
  if (advertiseNbd.length > nbd.listen.length) {
    throw invalid('there are more advertise-nbd addresses than nbd listeners')
  }
  if (nbd.tls !== 'off' && tlsDir === null && nbd.pskFile === null) {
    throw invalid(`nbd.tls ${nbd.tls} needs tlsDir or nbd.pskFile`)
  }
  const reachable = nbd.listen.find(({ host }) => !isLoopback(host))
  if (reachable !== undefined && nbd.tls !== 'required' && !nbd.allowPlain) {
    const address = formatHostPort(reachable)
    throw invalid(
      `NBD on ${address} can be reached by others, so it needs nbd.tls required, or nbd.allowPlain`,
    )
  }
}

function checkEtcd({ etcd }: Config): void {
  if ((etcd.user === null) !== (etcd.password === null)) {
    throw invalid('etcd.user and a password go together')
  }
  const schemes = new Set(etcd.urls.map(url => new URL(url).protocol))
  if (schemes.size > 1) throw invalid('etcd URLs are all http or all https')
  if (etcd.tls !== null && !schemes.has('https:')) throw invalid('etcd.tls needs https URLs')
}

/** Without etcd there is nobody else, and the peer listener stays closed. */
function checkPeer({ peer, tlsDir, etcd, advertisePeer }: Config): void {
  if (etcd.urls.length === 0) return
  const address = formatHostPort(peer.listen)
  if (peer.tls === 'required' && tlsDir === null) throw invalid('peer.tls required needs tlsDir')
  if (peer.tls === 'off' && !isLoopback(peer.listen.host) && !peer.allowPlain) {
    throw invalid(`peers on ${address} can be reached by others, so it needs peer.tls, or peer.allowPlain`)
  }
  if (isWildcard(peer.listen.host) && advertisePeer === null) {
    throw invalid(`peer ${address} is a wildcard, so advertise-peer must say what other daemons dial`)
  }
}

function readTextFile(name: string): string {
  try {
    return readFileSync(name, 'utf8')
  } catch (error) {
    throw invalid(`${name} cannot be read: ${systemReason(error)}`)
  }
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('ERR_CONFIG_INVALID', message)
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner)
    Object.freeze(value)
  }
  return value
}
