import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IQN_PREFIX } from '../../../test/lib/daemon.ts'
import { freePort } from '../../../test/lib/free-port.ts'
import { succeed } from '../../../test/lib/programs.ts'
import { type BenchServer, VOLUME_BYTES } from '../../servers/bench-server.ts'
import { makePeerTls } from './peer-tls.ts'
import { ProgramGroup } from './program-group.ts'
import type { RunningSystem, SystemKind } from './system.ts'

const COMMAND = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url))
const PACKAGE = new URL('../../../package.json', import.meta.url)
const PEERS = ['peer-1', 'peer-2', 'peer-3']
const VOLUME = 'bench'

interface Addresses {
  readonly iscsi: string
  readonly nbd: string
  readonly api: string
  readonly peer: string
}

/** Three `holdfast serve` and a real etcd on this machine. */
class HoldfastCluster implements AsyncDisposable {
  readonly programs: ProgramGroup
  readonly #directory: string
  readonly #tls: boolean
  readonly #addresses = new Map<string, Addresses>()
  #etcd = ''

  constructor(directory: string, tls: boolean) {
    this.#directory = directory
    this.#tls = tls
    this.programs = new ProgramGroup(directory)
  }

  /** Answers where the volume's owner is: initiators prefer that path. */
  async start(): Promise<Addresses> {
    await this.#startEtcd()
    const token = join(this.#directory, 'token')
    await holdfast('cluster', 'init', '--token-file', token, '--etcd', this.#etcd)
    if (this.#tls) makePeerTls(this.#directory, PEERS)
    for (const peer of PEERS) await this.#startPeer(peer, token)
    const { api } = this.#addresses.get(PEERS[0]!)!
    const at = ['--api', `http://${api}`]
    await holdfast('volume', 'create', VOLUME, String(VOLUME_BYTES), '--replicas', '3', ...at)
    const { replication } = JSON.parse(await holdfast('volume', 'show', VOLUME, '--json', ...at)) as {
      replication: { owner: string }
    }
    return this.#addresses.get(replication.owner)!
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.programs[Symbol.asyncDispose]()
  }

  async #startEtcd(): Promise<void> {
    this.#etcd = `http://127.0.0.1:${await freePort()}`
    const peerUrl = `http://127.0.0.1:${await freePort()}`
    const flags = {
      name: 'bench',
      'data-dir': join(this.#directory, 'etcd'),
      'listen-client-urls': this.#etcd,
      'advertise-client-urls': this.#etcd,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': `bench=${peerUrl}`,
      'log-level': 'error',
    }
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    const etcd = this.programs.start('etcd', ['etcd', ...argv])
    await this.programs.ready('etcd answers', etcd, () => answers(`${this.#etcd}/health`))
  }

  async #startPeer(peer: string, token: string): Promise<void> {
    const free = async () => `127.0.0.1:${await freePort()}`
    const addresses = { iscsi: await free(), nbd: await free(), api: await free(), peer: await free() }
    const data = join(this.#directory, peer)
    mkdirSync(data)
    this.#addresses.set(peer, addresses)
    const place = ['--data', data, '--etcd', this.#etcd]
    await holdfast('cluster', 'join', '--token-file', token, '--peer-name', peer, ...place)
    const argv = [
      ...[process.execPath, COMMAND, 'serve', ...place, '--label', `host=${peer}`],
      ...['--iscsi', addresses.iscsi, '--nbd', addresses.nbd],
      ...['--api', addresses.api, '--peer', addresses.peer],
      ...(this.#tls ? ['--tls-dir', join(this.#directory, `tls-${peer}`)] : []),
    ]
    const daemon = this.programs.start(peer, argv)
    await this.programs.ready(`${peer} is ready`, daemon, () => answers(`http://${addresses.api}/readyz`))
  }
}

function holdfast(...args: string[]): Promise<string> {
  return succeed(process.execPath, [COMMAND, ...args])
}

async function answers(url: string): Promise<void> {
  const { ok, status } = await fetch(url)
  if (!ok) throw new Error(`${url} answered ${status}`)
}

export function holdfastServer(
  name: string,
  url: string,
  argv: readonly string[],
  settings: Readonly<Record<string, unknown>>,
  pids: () => readonly number[],
): BenchServer {
  const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string }
  return {
    name,
    version,
    argv,
    settings: { ...settings, volumeBytes: VOLUME_BYTES },
    url,
    get pids() {
      return pids()
    },
    async [Symbol.asyncDispose]() {},
  }
}

function start(names: { readonly iscsi: string; readonly nbd: string | null }, tls: boolean) {
  return async (directory: string, wanted: ReadonlySet<string>): Promise<RunningSystem> => {
    const cluster = new HoldfastCluster(directory, tls)
    try {
      const { iscsi, nbd } = await cluster.start()
      const settings = { daemons: PEERS.length, replicas: PEERS.length, peerTls: tls, etcd: 'one member' }
      const server = (name: string, url: string) =>
        holdfastServer(name, url, ['holdfast', 'serve'], settings, () => cluster.programs.pids)
      const all = [server(names.iscsi, `iscsi://${iscsi}/${IQN_PREFIX}${VOLUME}/0`)]
      if (names.nbd !== null) all.push(server(names.nbd, `nbd://${nbd}/${VOLUME}`))
      return {
        servers: all.filter(({ name }) => wanted.has(name)),
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      }
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }
}

const NEEDS = { rival: null, programs: ['etcd'], packages: ['etcd-server'] }

export const HOLDFAST: SystemKind = {
  ...NEEDS,
  servers: ['holdfast-iscsi', 'holdfast-nbd'],
  start: start({ iscsi: 'holdfast-iscsi', nbd: 'holdfast-nbd' }, false),
}

/** With mutual TLS between the daemons. */
export const HOLDFAST_TLS: SystemKind = {
  ...NEEDS,
  programs: ['etcd', 'openssl'],
  packages: ['etcd-server', 'openssl'],
  servers: ['holdfast-tls'],
  onRequest: true,
  start: start({ iscsi: 'holdfast-tls', nbd: null }, true),
}
