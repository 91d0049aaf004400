import { spawnSync } from 'node:child_process'
// @ts-expect-error scripts are plain JavaScript
import { testRun } from '../../../scripts/lib/test-run.mjs'
import { succeed } from '../programs.ts'

const SUBNET = '10.88.7'
/** A locally administered hardware address that no interface has. */
const NOBODY = '02:00:00:00:00:01'
/** Several processes of a run may have networks at the same time. */
const namespaceOf = (what: string): string => `holdfast-${process.pid}-${what}-${testRun()}`

/** Null when network namespaces can be made here, else why not. */
export function hostNetworkMissing(): string | null {
  const name = namespaceOf('probe')
  const made = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (made.error !== undefined) return 'iproute2 is not installed'
  if (made.status !== 0) return `network namespaces cannot be made: ${made.stderr.trim()}`
  spawnSync('ip', ['netns', 'delete', name])
  return null
}

/**
 * Machines of a cluster as network namespaces on one bridge, the bridge in a namespace of its own: nothing of the
 * machine's own network is touched. Disposing it takes everything away; the processes in it must have ended.
 */
export class HostNetwork implements AsyncDisposable {
  readonly hosts: readonly string[]

  private constructor(hosts: readonly string[]) {
    this.hosts = hosts
  }

  static async create(hosts: readonly string[]): Promise<HostNetwork> {
    const network = new HostNetwork(hosts)
    try {
      await network.#build()
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw error
    }
    return network
  }

  address(host: string): string {
    return `${SUBNET}.${this.#number(host)}`
  }

  /** What a command line begins with, to run on that host. */
  on(host: string): string[] {
    return ['ip', 'netns', 'exec', this.#namespace(host)]
  }

  /** Nothing reaches the host and nothing leaves it. */
  cut(host: string): Promise<unknown> {
    return this.#bridge('link', 'set', this.#port(host), 'down')
  }

  async heal(host: string): Promise<void> {
    await this.#bridge('link', 'set', this.#port(host), 'up')
    for (const other of this.#others(host)) await this.#neighbour(host, 'flush', 'to', this.address(other))
  }

  /** What the host sends to the others is lost without a word; what they send still arrives. */
  async cutOutgoing(host: string): Promise<void> {
    for (const other of this.#others(host)) {
      await this.#neighbour(host, 'replace', this.address(other), 'lladdr', NOBODY, 'nud', 'permanent')
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const names = [...this.hosts.map(host => this.#namespace(host)), this.#bridgeNamespace]
    for (const name of names) spawnSync('ip', ['netns', 'delete', name])
  }

  get #bridgeNamespace(): string {
    return namespaceOf('bridge')
  }

  #number(host: string): number {
    return this.hosts.indexOf(host) + 1
  }

  #namespace(host: string): string {
    return namespaceOf(`${this.#number(host)}`)
  }

  #port(host: string): string {
    return `port${this.#number(host)}`
  }

  #bridge(...args: string[]): Promise<string> {
    return succeed('ip', ['-n', this.#bridgeNamespace, ...args])
  }

  #others(host: string): string[] {
    return this.hosts.filter(other => other !== host)
  }

  #neighbour(host: string, verb: 'replace' | 'flush', ...args: string[]): Promise<string> {
    const permanent = verb === 'flush' ? ['nud', 'permanent'] : []
    return succeed('ip', ['-n', this.#namespace(host), 'neigh', verb, ...args, 'dev', 'eth0', ...permanent])
  }

  async #build(): Promise<void> {
    await succeed('ip', ['netns', 'add', this.#bridgeNamespace])
    await this.#bridge('link', 'add', 'bridge', 'type', 'bridge', 'forward_delay', '0')
    await this.#bridge('link', 'set', 'bridge', 'up')
    for (const host of this.hosts) {
      const namespace = this.#namespace(host)
      const port = this.#port(host)
      await succeed('ip', ['netns', 'add', namespace])
      const peer = ['peer', 'name', 'eth0', 'netns', namespace]
      await this.#bridge('link', 'add', port, 'type', 'veth', ...peer)
      await this.#bridge('link', 'set', port, 'master', 'bridge', 'up')
      await succeed('ip', ['-n', namespace, 'address', 'add', `${this.address(host)}/24`, 'dev', 'eth0'])
      await succeed('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up'])
      await succeed('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
    }
  }
}
