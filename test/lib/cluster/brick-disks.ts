import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, succeed } from '../programs.ts'
import type { Peers } from './peers.ts'

const PROBE_BYTES = 16 * 1024 * 1024
const FILLER = 'filler'

/** Null when a file can be mounted as a disk here, else why not. */
export function brickDisksMissing(): string | null {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-disk-probe-'))
  try {
    const image = join(directory, 'image')
    makeSparse(image, PROBE_BYTES)
    const made = spawnSync('mkfs.ext4', ['-q', image])
    if (made.error !== undefined) return 'mkfs.ext4 is not installed (Debian: e2fsprogs)'
    mkdirSync(join(directory, 'disk'))
    const mounted = spawnSync('mount', ['-o', 'loop', image, join(directory, 'disk')], { encoding: 'utf8' })
    if (mounted.status !== 0) return `a file cannot be mounted: ${mounted.stderr?.trim()}`
    spawnSync('umount', [join(directory, 'disk')])
    return null
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** A disk of its own for each brick: ext4 in a sparse file, so that one can be full while the others are not. */
export class BrickDisks {
  readonly #peers: Peers
  readonly #directory: string
  readonly #mounted: string[] = []

  constructor(peers: Peers, directory: string) {
    this.#peers = peers
    this.#directory = directory
  }

  /** Before the peer of that host is made. */
  async mount(host: string, sizeBytes: number): Promise<void> {
    const image = join(this.#directory, `disk-${host}`)
    const at = this.#peers.dataOf(host)
    makeSparse(image, sizeBytes)
    mkdirSync(at, { recursive: true })
    await succeed('mkfs.ext4', ['-q', '-m', '0', image])
    await succeed('mount', ['-o', 'loop', image, at])
    this.#mounted.push(at)
    rmdirSync(join(at, 'lost+found'))
  }

  /** To the last block. */
  async fill(host: string): Promise<void> {
    const path = join(this.#peers.dataOf(host), FILLER)
    const { blocks, bsize } = statfsSync(this.#peers.dataOf(host))
    const sizeBytes = blocks * bsize
    const { code, stderr } = await run('fallocate', ['--length', String(sizeBytes), path])
    if (code === 0 || !existsSync(path)) throw new Error(`the disk of ${host} did not become full: ${stderr}`)
  }

  makeRoom(host: string): void {
    rmSync(join(this.#peers.dataOf(host), FILLER), { force: true })
  }

  /** After the daemons have ended. */
  async unmount(): Promise<void> {
    for (const at of this.#mounted.splice(0)) await succeed('umount', [at])
  }
}

function makeSparse(path: string, sizeBytes: number): void {
  writeFileSync(path, '')
  truncateSync(path, sizeBytes)
}
