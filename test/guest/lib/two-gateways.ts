import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll } from 'vitest'
import { Background, eventually } from '../../lib/cluster/background.ts'
import { EtcdServer, etcdMissing } from '../../lib/etcd-server.ts'
import { succeed } from '../../lib/programs.ts'
import { directoryOfRun, type TemporaryDirectory } from '../../lib/temporary-directory.ts'
import { Guest, LINKS } from './guest.ts'
import { allStarted } from './section.ts'

const COMMAND = fileURLToPath(new URL('../../../bin/holdfast', import.meta.url))
const READY_MS = 120_000
const NAMES = ['a', 'b'] as const

/** Two `holdfast serve` over an etcd, one portal on each link: two gateways of the same volumes. */
class TwoGateways implements AsyncDisposable {
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

  /** What one of the two answers with `--json`. */
  async json<T>(at: number, ...args: string[]): Promise<T> {
    return JSON.parse(await this.done(at, ...args, '--json')) as T
  }

  /** SIGKILL to one of the two. */
  async kill(at: number): Promise<void> {
    await this.#daemons[at]!.kill()
  }

  /** The same again; resolves when it serves. */
  async start(at: number): Promise<void> {
    this.#spawn(at)
    await this.#ready(at)
  }

  /** Both at once. */
  async restart(): Promise<void> {
    for (const at of NAMES.keys()) await this.kill(at)
    await Promise.all([...NAMES.keys()].map(at => this.start(at)))
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

/** What the tests of one file share: a guest and two gateways, all fresh. */
export interface TwoGatewaysSection {
  readonly guest: Guest
  readonly gateways: TwoGateways
}

/** Starts them before the first test of the file and ends them after the last. */
export function useTwoGateways(purpose: string): TwoGatewaysSection {
  const section = {} as { guest: Guest; gateways: TwoGateways }
  let directory: TemporaryDirectory
  beforeAll(async () => {
    const missing = etcdMissing()
    if (missing !== null) throw new Error(missing)
    directory = directoryOfRun(`guest-${purpose}`)
    await allStarted([
      Guest.boot(directory.path).then(guest => {
        section.guest = guest
      }),
      TwoGateways.start(directory.path).then(gateways => {
        section.gateways = gateways
      }),
    ])
  })
  afterAll(async () => {
    await section.guest?.[Symbol.asyncDispose]()
    await section.gateways?.[Symbol.asyncDispose]()
    directory?.[Symbol.dispose]()
  })
  return section
}

const apiOf = (at: number): string => `http://127.0.0.1:${9280 + 10 * at}`
