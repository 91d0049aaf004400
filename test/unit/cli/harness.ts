import { PassThrough, Readable, Writable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import pino from 'pino'
import { createApi } from '../../../src/api/api-server.ts'
import { runCli } from '../../../src/cli/run-cli.ts'
import { FakeDaemon } from '../api/fake-daemon.ts'

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
  /** Standard output as it came, for images. */
  readonly bytes: Buffer
}

export interface RunOptions {
  readonly stdin?: Buffer | string
  readonly environment?: Record<string, string>
  /** Sent once the command listens for it. */
  readonly signal?: NodeJS.Signals
}

class Collector extends Writable {
  readonly pieces: Buffer[] = []

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push(Buffer.from(piece))
    done()
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

/** Runs a command line in this process. */
export async function cli(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const stdout = new Collector()
  const stderr = new Collector()
  const stdin =
    options.stdin === undefined ? new PassThrough().end() : Readable.from([Buffer.from(options.stdin)])
  const code = await runCli(argv, {
    stdin,
    stdout,
    stderr,
    environment: options.environment ?? {},
    onStopSignal: listener => {
      if (options.signal !== undefined) listener(options.signal)
      return () => {}
    },
  })
  return { code, out: stdout.bytes.toString(), err: stderr.bytes.toString(), bytes: stdout.bytes }
}

/** A fake daemon behind the real API on a port of its own, and the CLI pointed at it. */
export class TestDaemon implements AsyncDisposable {
  readonly daemon: FakeDaemon
  readonly #api: FastifyInstance
  readonly url: string

  private constructor(daemon: FakeDaemon, api: FastifyInstance, url: string) {
    this.daemon = daemon
    this.#api = api
    this.url = url
  }

  static async start(token: string | null = null): Promise<TestDaemon> {
    const daemon = new FakeDaemon()
    const log = pino({ enabled: false })
    const api = await createApi({ backend: daemon, log, version: '0.1.0', token, tls: null })
    const url = await api.listen({ host: '127.0.0.1', port: 0 })
    return new TestDaemon(daemon, api, url)
  }

  run(line: string | readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const argv = typeof line === 'string' ? line.split(' ') : line
    return cli(argv, { ...options, environment: { HOLDFAST_API: this.url, ...options.environment } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api.close()
  }
}
