import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'

const LOG_TAIL_LINES = 30

/** A program that runs until it is stopped, its output in a file. */
export class Background {
  readonly logPath: string
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>

  constructor(argv: readonly string[], logPath: string, environment: NodeJS.ProcessEnv = {}) {
    this.logPath = logPath
    const log = openSync(logPath, 'a')
    const [program, ...args] = argv
    this.#child = spawn(program as string, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
    })
    closeSync(log)
    this.#exited = once(this.#child, 'exit')
  }

  get pid(): number {
    return this.#child.pid as number
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  get exited(): Promise<unknown> {
    return this.#exited
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    if (!this.hasEnded) this.#child.kill('SIGKILL')
    await this.#exited
  }

  logTail(lines = LOG_TAIL_LINES): string {
    return readFileSync(this.logPath, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  }
}

/** Asks again and again; throws an Error with what was last wrong when `ms` have passed. */
export async function eventually<T>(what: string, ms: number, attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() > end) throw new Error(`${what}: not within ${ms / 1000} s`, { cause: error })
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
  }
}

const POLL_MS = 200
