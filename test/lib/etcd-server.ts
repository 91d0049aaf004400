import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { cp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { directoryOfRun } from './temporary-directory.ts'

const ETCD = 'etcd'

/** Null when etcd can be started here, else the reason for skipping what needs it. */
export function etcdMissing(): string | null {
  const { error, status } = spawnSync(ETCD, ['--version'], { stdio: 'ignore' })
  return error === undefined && status === 0 ? null : 'etcd is not installed (Debian: etcd-server)'
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** A member of an etcd, in a temp directory. */
export class EtcdServer {
  readonly endpoint: string
  readonly #directory: string
  readonly #peerUrls: readonly string[]
  readonly #member: number
  #process: ChildProcess | null = null

  private constructor(clientPort: number, peerUrls: readonly string[], member: number) {
    this.#directory = directoryOfRun('etcd').path
    this.endpoint = `127.0.0.1:${clientPort}`
    this.#peerUrls = peerUrls
    this.#member = member
  }

  static async create(): Promise<EtcdServer> {
    return (await EtcdServer.createCluster(1))[0]!
  }

  /** An etcd of so many members. */
  static async createCluster(members: number): Promise<EtcdServer[]> {
    const peerUrls: string[] = []
    while (peerUrls.length < members) peerUrls.push(`http://127.0.0.1:${await freePort()}`)
    const servers: EtcdServer[] = []
    for (const member of peerUrls.keys()) servers.push(new EtcdServer(await freePort(), peerUrls, member))
    await Promise.all(servers.map(server => server.start()))
    return servers
  }

  /** Starts it, again after stop(); resolves when it answers. */
  async start(): Promise<void> {
    const client = `http://${this.endpoint}`
    const peerUrl = this.#peerUrls[this.#member]!
    const flags = {
      name: `test${this.#member}`,
      'data-dir': this.#directory,
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peerUrl,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': this.#peerUrls.map((url, member) => `test${member}=${url}`).join(),
      'log-level': 'error',
    }
    const argv = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
    this.#process = spawn(ETCD, argv, { stdio: 'ignore' })
    const healthy = () =>
      fetch(`${client}/health`).then(
        response => response.ok,
        () => false,
      )
    for (let tries = 0; !(await healthy()); tries++) {
      if (tries > 200) throw new Error('etcd does not start')
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }

  get #backup(): string {
    return `${this.#directory}.backup`
  }

  async stop(): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null) return
    await new Promise(resolve => {
      child.once('exit', resolve)
      child.kill('SIGKILL')
    })
  }

  /** Of all that it holds; stop() it before. */
  async backUp(): Promise<void> {
    await cp(this.#directory, this.#backup, { recursive: true })
  }

  /** Makes it hold what it held at backUp(); stop() it before. */
  async restore(): Promise<void> {
    await rm(this.#directory, { recursive: true })
    await cp(this.#backup, this.#directory, { recursive: true })
  }

  async destroy(): Promise<void> {
    await this.stop()
    await rm(this.#backup, { recursive: true, force: true })
    await rm(this.#directory, { recursive: true, force: true })
  }
}
