import { setTimeout as sleep } from 'node:timers/promises'
import { Daemon, type DaemonOptions } from '../../test/lib/daemon.ts'
import { processTree } from '../machine.ts'
import { askDaemon } from '../rest.ts'
import { resident, SERVER_CPU, type Served } from './loads.ts'

/** After a start, until what only starting needed has been given back. */
const SETTLE_MS = 3_000

/** A `holdfast dev` whose start is measured. */
export class OwnDaemon implements AsyncDisposable {
  #daemon: Daemon
  /** From the start of the process to `/readyz`, in steps of 50 ms. */
  startSeconds: number

  private constructor(daemon: Daemon, startSeconds: number) {
    this.#daemon = daemon
    this.startSeconds = startSeconds
  }

  static async start(options: Omit<DaemonOptions, 'cpu'>): Promise<OwnDaemon> {
    const began = performance.now()
    const daemon = await Daemon.start({ ...options, cpu: SERVER_CPU })
    return new OwnDaemon(daemon, (performance.now() - began) / 1000)
  }

  get pids(): readonly number[] {
    return processTree(this.#daemon.pid)
  }

  served(volume: string, protocol: 'iscsi' | 'nbd' = 'nbd'): Served {
    const url = protocol === 'nbd' ? `nbd://${this.#daemon.nbd}/${volume}` : this.#daemon.url(volume)
    return { url, pids: this.pids }
  }

  ask(method: string, path: string, body?: object): Promise<unknown> {
    return askDaemon(this.#daemon.apiUrl, method, path, body)
  }

  /** Stopped in order, or killed; then started on the same data. */
  async restart(how: 'stop' | 'kill'): Promise<void> {
    await this.#daemon[how]()
    const began = performance.now()
    this.#daemon = await this.#daemon.restart()
    this.startSeconds = (performance.now() - began) / 1000
  }

  /** Resident MB once it has settled. */
  async settledMegabytes(): Promise<number> {
    await sleep(SETTLE_MS)
    return resident(this.pids)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#daemon[Symbol.asyncDispose]()
  }
}
