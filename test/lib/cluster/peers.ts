import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ProgramResult, run, succeed } from '../programs.ts'
import { Background, eventually } from './background.ts'
import type { EtcdMembers } from './etcd-members.ts'
import type { HostNetwork } from './host-network.ts'

const COMMAND = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url))
const API = '127.0.0.1:9280'
/** Whoever is not up by then hangs: where the machine is overloaded, loading the modules alone has taken half a minute. */
const READY_MS = 120_000
export const ISCSI_PORT = 3260
export const NBD_PORT = 10_809
const PEER_PORT = 9281

/** `holdfast serve` on hosts of a network, one peer each, over a real etcd. */
export class Peers {
  readonly #network: HostNetwork
  readonly #etcd: EtcdMembers
  readonly #directory: string
  readonly #running = new Map<string, Background>()
  readonly #environment: (host: string) => NodeJS.ProcessEnv
  #tokenFile = ''

  constructor(
    network: HostNetwork,
    etcd: EtcdMembers,
    directory: string,
    environment: (host: string) => NodeJS.ProcessEnv = () => ({}),
  ) {
    this.#environment = environment
    this.#network = network
    this.#etcd = etcd
    this.#directory = directory
  }

  get running(): string[] {
    return [...this.#running.keys()]
  }

  /** Founds the cluster; its token stays in a file here. */
  async init(host: string): Promise<void> {
    this.#tokenFile = join(this.#directory, 'token')
    mkdirSync(this.#directory, { recursive: true })
    await this.done(host, 'cluster', 'init', '--token-file', this.#tokenFile, ...this.#etcdFlags)
  }

  /** Lets a peer in and starts it. */
  async join(host: string): Promise<void> {
    const flags = ['--data', this.dataOf(host), '--peer-name', host, ...this.#etcdFlags]
    await this.done(host, 'cluster', 'join', '--token-file', this.#tokenFile, ...flags)
    this.start(host)
    await this.ready(host)
  }

  dataOf(host: string): string {
    return join(this.#directory, `peer-${host}`)
  }

  /** Also after a kill, with the same data. */
  start(host: string): void {
    const address = this.#network.address(host)
    const argv = [
      ...['serve', '--data', this.dataOf(host), ...this.#etcdFlags],
      ...['--peer', `${address}:${PEER_PORT}`, '--peer-allow-plain', '--label', `host=${host}`],
      ...['--iscsi', `${address}:${ISCSI_PORT}`, '--nbd', `${address}:${NBD_PORT}`, '--nbd-allow-plain'],
      ...['--api', API],
    ]
    mkdirSync(this.#directory, { recursive: true })
    const command = [...this.#network.on(host), process.execPath, COMMAND, ...argv]
    this.#running.set(
      host,
      new Background(command, join(this.#directory, `${host}.log`), this.#environment(host)),
    )
  }

  async ready(host: string): Promise<void> {
    const daemon = this.#daemon(host)
    await eventually(`the daemon on ${host} is ready`, READY_MS, async () => {
      if (daemon.hasEnded) throw new Error(`it ended:\n${daemon.logTail()}`)
      const { code, stderr } = await this.command(host, 'status')
      if (code !== 0) throw new Error(stderr)
    }).catch(error => {
      throw new Error(`${(error as Error).message}\n${daemon.logTail()}`, { cause: error })
    })
  }

  pidOf(host: string): number {
    return this.#daemon(host).pid
  }

  signal(host: string, signal: NodeJS.Signals): void {
    this.#daemon(host).signal(signal)
  }

  async kill(host: string): Promise<void> {
    await this.#running.get(host)?.kill()
    this.#running.delete(host)
  }

  logTail(host: string): string {
    return this.#daemon(host).logTail()
  }

  /** `holdfast …` on a host, against its daemon. */
  command(host: string, ...args: string[]): Promise<ProgramResult> {
    const [program, ...rest] = [...this.#network.on(host), process.execPath, COMMAND, ...args]
    return run(program as string, rest)
  }

  async done(host: string, ...args: string[]): Promise<string> {
    const [program, ...rest] = [...this.#network.on(host), process.execPath, COMMAND, ...args]
    return succeed(program as string, rest)
  }

  async json<T>(host: string, ...args: string[]): Promise<T> {
    return JSON.parse(await this.done(host, ...args, '--json')) as T
  }

  async stop(): Promise<void> {
    for (const host of this.running) await this.kill(host)
  }

  get #etcdFlags(): string[] {
    return this.#etcd.endpoints.flatMap(url => ['--etcd', url])
  }

  #daemon(host: string): Background {
    const daemon = this.#running.get(host)
    if (daemon === undefined) throw new Error(`no daemon runs on ${host}`)
    return daemon
  }
}
