import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Background, eventually } from '../../lib/cluster/background.ts'
import { EtcdServer } from '../../lib/etcd-server.ts'
import { succeed } from '../../lib/programs.ts'
import { LINKS } from './guest.ts'

const COMMAND = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url))
const READY_MS = 120_000
const NAMES = ['a', 'b'] as const

/** Two `holdfast serve` over an etcd, one portal on each link: two gateways of the same volumes. */
export class TwoGateways implements AsyncDisposable {
  readonly #directory: string
  readonly #etcd: EtcdServer
  readonly #daemons: Background[] = []

  private constructor(directory: string, etcd: EtcdServer) {
    this.#directory = directory
    this.#etcd = etcd
  }

  static async start(directory: string): Promise<TwoGateways> {
    const gateways = new TwoGateways(directory, await EtcdServer.create())
    try {
      await gateways.#found()
    } catch (error) {
      await gateways[Symbol.asyncDispose]()
      throw error
    }
    return gateways
  }

  /** `holdfast …` at one of the two. */
  async done(at: number, ...args: string[]): Promise<string> {
    const api = args[0] === 'cluster' ? [] : ['--api', apiOf(at)]
    return succeed(process.execPath, [COMMAND, ...args, ...api])
  }

  /** SIGKILL to both, and the same again; resolves when they serve. */
  async restart(): Promise<void> {
    for (const daemon of this.#daemons) await daemon.kill()
    for (const at of NAMES.keys()) this.#spawn(at)
    for (const at of NAMES.keys()) await this.#ready(at)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.#daemons) await daemon.kill()
    await this.#etcd.destroy()
  }

  async #found(): Promise<void> {
    const token = ['--token-file', join(this.#directory, 'token'), ...this.#etcdFlags]
    await this.done(0, 'cluster', 'init', ...token)
    for (const [at, name] of NAMES.entries()) {
      const flags = ['--data', this.#dataOf(at), '--peer-name', name]
      await this.done(at, 'cluster', 'join', ...token, ...flags)
      this.#spawn(at)
    }
    for (const at of NAMES.keys()) await this.#ready(at)
  }

  get #etcdFlags(): string[] {
    return ['--etcd', `http://${this.#etcd.endpoint}`]
  }

  #dataOf(at: number): string {
    return join(this.#directory, `peer-${NAMES[at]}`)
  }

  #spawn(at: number): void {
    const { address } = LINKS[at]!
    const argv = [
      ...['serve', '--data', this.#dataOf(at), ...this.#etcdFlags, '--label', `host=${NAMES[at]}`],
      ...['--peer', `${address}:9281`, '--peer-allow-plain', '--iscsi', `${address}:3260`],
      ...['--nbd', `127.0.0.1:${10_809 + at}`, '--api', apiOf(at).slice('http://'.length)],
    ]
    const log = join(this.#directory, `${NAMES[at]}.log`)
    this.#daemons[at] = new Background([process.execPath, COMMAND, ...argv], log)
  }

  async #ready(at: number): Promise<void> {
    const daemon = this.#daemons[at]!
    await eventually(`gateway ${NAMES[at]} is ready`, READY_MS, async () => {
      const { ok } = await fetch(`${apiOf(at)}/readyz`)
      if (!ok) throw new Error('not yet')
    }).catch((error: Error) => {
      throw new Error(`${error.message}\n${daemon.logTail()}`, { cause: error })
    })
  }
}

const apiOf = (at: number): string => `http://127.0.0.1:${9280 + 10 * at}`
