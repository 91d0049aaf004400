import { execFile, spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Daemon } from '../../test/lib/daemon.ts'
import { load } from '../client.ts'
import { type CProgram, compile } from '../compile.ts'
import { askDaemon } from '../rest.ts'
import type { Load, Scenario } from './scenarios.ts'

const run = promisify(execFile)
const SLOW_DISK: CProgram = {
  name: 'slow-disk.so',
  directory: fileURLToPath(new URL('.', import.meta.url)),
  sources: ['slow-disk.c'],
  flags: ['-shared', '-fPIC'],
}
export const SERVER_CPU = 0
export const CLIENT_CPU = 1
export const VOLUME_BYTES = 64 * 2 ** 20
const FILL_SECONDS_MAX = 120
const FILL_BLOCK_BYTES = 2 ** 20

/** A daemon with the volumes `quiet` and `noisy`, both written full; on a slow disk if the scenario says so. */
export class Stage implements AsyncDisposable {
  readonly #daemon: Daemon
  readonly #directory: string

  private constructor(daemon: Daemon, directory: string) {
    this.#daemon = daemon
    this.#directory = directory
  }

  static async open(directory: string, disk: Scenario['disk']): Promise<Stage> {
    const environment =
      disk === undefined
        ? {}
        : {
            LD_PRELOAD: await compile(SLOW_DISK),
            UV_USE_IO_URING: '0',
            SLOW_READ_US: String(disk.readUs),
            SLOW_SYNC_US: String(disk.syncUs),
          }
    const daemon = await Daemon.start({ directory, cpu: SERVER_CPU, environment, arguments: ['--no-demo'] })
    const stage = new Stage(daemon, directory)
    for (const name of ['quiet', 'noisy']) {
      await askDaemon(stage.apiUrl, 'POST', 'volumes', { name, sizeBytes: VOLUME_BYTES })
      await stage.#whole(name, 'write')
    }
    return stage
  }

  get apiUrl(): string {
    return this.#daemon.apiUrl
  }

  get argv(): readonly string[] {
    return this.#daemon.argv
  }

  url(volume: string, protocol: Load['protocol']): string {
    return protocol === 'nbd' ? `nbd://${this.#daemon.nbd}/${volume}` : this.#daemon.url(volume)
  }

  async limit(limits: Scenario['limits']): Promise<void> {
    const none = { iops: null, bytesPerSecond: null }
    await askDaemon(this.apiUrl, 'PATCH', 'volumes/noisy', { limits: { ...none, ...limits } })
  }

  /** What the quiet volume has is in page cache; what the noisy one has is not, if `coldNoise`. */
  async warm(coldNoise: boolean): Promise<void> {
    if (coldNoise) await this.#dropCache()
    else await this.#whole('noisy', 'read')
    await this.#whole('quiet', 'read')
  }

  async #whole(volume: string, mode: 'read' | 'write'): Promise<void> {
    const amount = ['--count', String(VOLUME_BYTES / FILL_BLOCK_BYTES), '--depth', '8']
    const args = ['--mode', mode, '--block', String(FILL_BLOCK_BYTES), ...amount]
    await load(this.url(volume, 'nbd'), CLIENT_CPU, args, FILL_SECONDS_MAX)
  }

  /** dd with a count of 0 asks the kernel to forget a file; what is dirty has to be on disk before. */
  async #dropCache(): Promise<void> {
    const data = join(this.#directory, 'data')
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter(
      file => file.isFile() && statSync(join(file.parentPath, file.name)).size >= FILL_BLOCK_BYTES,
    )
    for (const { parentPath, name } of files) {
      const path = join(parentPath, name)
      await run('sync', ['--data', path])
      await run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none'])
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#daemon[Symbol.asyncDispose]()
  }
}

/** Asks the API for volumes and metrics over `connections`, until the answer is called. */
export function askApi(stage: Stage, connections: number): () => void {
  const args = ['--connections', String(connections), '--duration', '3600', `${stage.apiUrl}/v1/volumes`]
  const pinned = [
    '-n',
    '19',
    'taskset',
    '-c',
    String(CLIENT_CPU),
    'npx',
    '--no-install',
    'autocannon',
    ...args,
  ]
  const child = spawn('nice', pinned, { stdio: 'ignore', detached: true })
  // The group: npx starts the program itself as its child.
  return () => process.kill(-(child.pid as number), 'SIGKILL')
}
