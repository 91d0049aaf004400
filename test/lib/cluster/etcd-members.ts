import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { succeed } from '../programs.ts'
import { Background, eventually } from './background.ts'
import type { HostNetwork } from './host-network.ts'

const CLIENT_PORT = 2379
const PEER_PORT = 2380
const START_MS = 30_000

/** One etcd member on each host of a network. */
export class EtcdMembers {
  readonly #network: HostNetwork
  readonly #hosts: readonly string[]
  readonly #directory: string
  readonly #running = new Map<string, Background>()

  constructor(network: HostNetwork, hosts: readonly string[], directory: string) {
    this.#network = network
    this.#hosts = hosts
    this.#directory = directory
  }

  get endpoints(): string[] {
    return this.#hosts.map(host => `http://${this.#network.address(host)}:${CLIENT_PORT}`)
  }

  async start(): Promise<void> {
    for (const host of this.#hosts) this.startMember(host)
    for (const host of this.#hosts) await this.healthy(host)
  }

  /** Also after killMember(), with the same data. */
  startMember(host: string): void {
    const address = this.#network.address(host)
    const cluster = this.#hosts.map(name => `${name}=http://${this.#network.address(name)}:${PEER_PORT}`)
    const directory = join(this.#directory, `etcd-${host}`)
    mkdirSync(directory, { recursive: true })
    const flags = {
      name: host,
      'data-dir': join(directory, 'data'),
      'listen-client-urls': `http://${address}:${CLIENT_PORT}`,
      'advertise-client-urls': `http://${address}:${CLIENT_PORT}`,
      'listen-peer-urls': `http://${address}:${PEER_PORT}`,
      'initial-advertise-peer-urls': `http://${address}:${PEER_PORT}`,
      'initial-cluster': cluster.join(','),
      'log-level': 'error',
    }
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    this.#running.set(
      host,
      new Background([...this.#network.on(host), 'etcd', ...argv], join(directory, 'log')),
    )
  }

  async killMember(host: string): Promise<void> {
    await this.#running.get(host)?.kill()
    this.#running.delete(host)
  }

  signalMember(host: string, signal: NodeJS.Signals): void {
    this.#running.get(host)?.signal(signal)
  }

  async healthy(host: string): Promise<void> {
    const url = `http://${this.#network.address(host)}:${CLIENT_PORT}/health`
    const ask = `fetch('${url}').then(answer => process.exit(answer.ok ? 0 : 1))`
    await eventually(`etcd on ${host} answers`, START_MS, async () => {
      const [program, ...args] = [...this.#network.on(host), process.execPath, '--eval', ask]
      await succeed(program as string, args)
    })
  }

  async stop(): Promise<void> {
    for (const host of [...this.#running.keys()]) await this.killMember(host)
  }
}
