import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMMAND = join(ROOT, 'bin/holdfast')
const READY_TIMEOUT_MS = 30_000
const READY_POLL_MS = 50
const STOP_TIMEOUT_MS = 15_000
const LOG_TAIL_LINES = 40

export const IQN_PREFIX = 'iqn.2026-11.io.holdfast:'

export interface DaemonOptions {
  /** `--data`; also holds the daemon's log. */
  readonly directory: string
  /** Listening addresses; ports are free ones unless given. */
  readonly iscsi?: readonly string[]
  readonly api?: string
  readonly nbd?: string
  readonly arguments?: readonly string[]
  /** Of Node itself, before the command. */
  readonly nodeArguments?: readonly string[]
  readonly environment?: NodeJS.ProcessEnv
  /** Pin the daemon and all its threads to this CPU. */
  readonly cpu?: number
}

/** A real `holdfast dev` in a process of its own. Disposing it kills it. */
export class Daemon implements AsyncDisposable {
  readonly options: DaemonOptions
  readonly iscsi: readonly string[]
  /** `HOST:PORT` of NBD. */
  readonly nbd: string
  readonly apiUrl: string
  readonly logPath: string
  readonly argv: readonly string[]
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  private constructor(options: DaemonOptions, iscsi: readonly string[], nbd: string, api: string) {
    this.options = options
    this.iscsi = iscsi
    this.nbd = nbd
    this.apiUrl = `http://${api}`
    this.logPath = join(options.directory, 'daemon.log')
    const data = join(options.directory, 'data')
    const addresses = [...iscsi.flatMap(address => ['--iscsi', address]), '--nbd', nbd, '--api', api]
    const node = [process.execPath, ...(options.nodeArguments ?? [])]
    this.argv = [...node, COMMAND, 'dev', '--data', data, ...addresses, ...(options.arguments ?? [])]
    const pinned = options.cpu === undefined ? [] : ['taskset', '-c', String(options.cpu)]
    const [file, ...rest] = [...pinned, ...this.argv]
    const log = openSync(this.logPath, 'a')
    this.#child = spawn(file as string, rest, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
    })
    closeSync(log)
    this.#exited = once(this.#child, 'exit')
  }

  /** Started and ready to serve. Throws with the end of its log when it does not come up in 30 s. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    if (!existsSync(join(ROOT, 'dist/cli/main.js'))) throw new Error('build first: npm run build')
    const iscsi = options.iscsi ?? [`127.0.0.1:${await freePort()}`]
    const nbd = options.nbd ?? `127.0.0.1:${await freePort()}`
    const api = options.api ?? `127.0.0.1:${await freePort()}`
    const daemon = new Daemon(options, iscsi, nbd, api)
    await daemon.#becomeReady()
    return daemon
  }

  /** The same directory and the same addresses, for after a stop or a kill. */
  restart(more: { readonly arguments?: readonly string[] } = {}): Promise<Daemon> {
    return Daemon.start({
      ...this.options,
      iscsi: this.iscsi,
      nbd: this.nbd,
      api: this.apiUrl.slice('http://'.length),
      ...more,
    })
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get exitCode(): number | null {
    return this.#child.exitCode
  }

  /** `iscsi://portal/iqn/lun`, with credentials where given. */
  url(
    volume: string,
    at: { lun?: number; portal?: number; credentials?: string; query?: string } = {},
  ): string {
    const credentials = at.credentials === undefined ? '' : `${at.credentials}@`
    const query = at.query === undefined ? '' : `?${at.query}`
    return `iscsi://${credentials}${this.iscsi[at.portal ?? 0]}/${IQN_PREFIX}${volume}/${at.lun ?? 0}${query}`
  }

  /** The end of what it printed and logged. */
  logTail(lines = LOG_TAIL_LINES): string {
    return readFileSync(this.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  }

  /** SIGTERM, and the exit code it ends with. Throws if it does not end in 15 s. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM')
    const ended = await Promise.race([
      this.#exited.then(() => true),
      sleep(STOP_TIMEOUT_MS, false, { ref: false }),
    ])
    if (!ended) throw new Error(`the daemon ignores SIGTERM:\n${this.logTail()}`)
    return this.#child.exitCode
  }

  /** SIGKILL: what a crash looks like. */
  async kill(): Promise<void> {
    if (this.#running) this.#child.kill('SIGKILL')
    await this.#exited
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }

  get #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async #becomeReady(): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS
    while (this.#running && Date.now() < deadline) {
      const answer = await fetch(`${this.apiUrl}/readyz`).catch(() => null)
      if (answer?.ok) return
      await sleep(READY_POLL_MS)
    }
    const why = this.#running ? 'is not ready after 30 s' : `ended with ${this.#child.exitCode}`
    await this.kill()
    throw new Error(`the daemon ${why}:\n${this.logTail()}`)
  }
}
