import { mkdirSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { succeed } from '../../../test/lib/programs.ts'
import { processTree } from '../../machine.ts'
import { type BenchServer, VOLUME_BYTES } from '../../servers/bench-server.ts'
import { type ExportOptions, exportByQemuNbd, exportByTgt, versionOf } from './exports.ts'
import { listening, ProgramGroup } from './program-group.ts'
import type { RunningSystem, SystemKind } from './system.ts'

const BRICKS = ['1', '2', '3']
const VOLUME = 'bench'
const FILE = 'volume'
const COMMAND_TRY_MS = 3_000
/** Bricks and clients look for glusterd there and nowhere else. */
const GLUSTERD_PORT = 24_007
/** Where Debian's packages write, whatever the configuration says: bound to our directory, for our processes only. */
const FIXED_DIRECTORIES = ['/var/log/glusterfs', '/var/run/gluster']

/** Geo-replication: nobody uses it here, and glusterd's first start would run a dozen Python programs for it. */
const GSYNCD = '/usr/lib/*/glusterfs/gsyncd'

/** GlusterFS takes no brick on a loopback address; what goes to one of our own never leaves the machine either. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal)
  if (found !== undefined) return found.address
  throw new Error('GlusterFS takes no brick on a loopback address, and this machine has no other')
}

/**
 * glusterd, three bricks on one machine and a FUSE mount, in a mount and a process namespace of their own: when
 * glusterd is killed everything that it started ends, and nothing stays mounted.
 */
class GlusterCluster implements AsyncDisposable {
  readonly programs: ProgramGroup
  readonly mountPoint: string
  readonly address = ownAddress()
  readonly #directory: string
  #namespace: readonly string[] = []

  constructor(directory: string) {
    this.#directory = directory
    this.mountPoint = join(directory, 'mnt')
    this.programs = new ProgramGroup(directory)
  }

  /** What a command line begins with, to see the mount. */
  get inside(): readonly string[] {
    return this.#namespace
  }

  async start(): Promise<void> {
    for (const part of ['work', 'run', 'mnt', 'logs', 'logs/bricks', 'sockets', ...BRICKS]) {
      mkdirSync(join(this.#directory, part))
    }
    const glusterd = this.programs.start('glusterd', this.#glusterdCommand())
    await this.programs.ready('glusterd answers', glusterd, () => listening(this.address, GLUSTERD_PORT))
    const [, first] = processTree(glusterd.pid)
    this.#namespace = ['nsenter', '--mount', '--pid', '--target', String(first)]
    await this.programs.ready('glusterd takes commands', glusterd, () => this.#takesCommands())
    const bricks = BRICKS.map(brick => `${this.address}:${join(this.#directory, brick)}`)
    await this.gluster('volume', 'create', VOLUME, 'replica', '3', ...bricks, 'force')
    // With it a write is acknowledged before any brick has it.
    await this.gluster('volume', 'set', VOLUME, 'performance.write-behind', 'off')
    await this.gluster('volume', 'start', VOLUME)
    const source = [`--volfile-server=${this.address}`, `--volfile-id=${VOLUME}`]
    const client = this.programs.start('client', [
      ...this.inside,
      ...['glusterfs', '--no-daemon', ...source, this.mountPoint],
    ])
    await this.programs.ready('the volume is mounted', client, () => this.#mounted())
    const file = join(this.mountPoint, FILE)
    await this.#run('truncate', '--size', String(VOLUME_BYTES), file)
  }

  async gluster(...args: string[]): Promise<void> {
    const [program, ...rest] = this.#cli(args)
    await succeed(program as string, rest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.programs[Symbol.asyncDispose]()
  }

  #glusterdCommand(): string[] {
    const configuration = join(this.#directory, 'glusterd.vol')
    writeFileSync(
      configuration,
      `volume management
    type mgmt/glusterd
    option working-directory ${join(this.#directory, 'work')}
    option run-directory ${join(this.#directory, 'run')}
    option glusterd-sockfile ${join(this.#directory, 'glusterd.sock')}
    option transport-type socket
    option transport.socket.listen-port ${GLUSTERD_PORT}
    option ping-timeout 0
    option event-threads 1
end-volume
`,
    )
    const ours = ['logs', 'sockets'].map(part => join(this.#directory, part))
    const binds = FIXED_DIRECTORIES.map((fixed, i) => `mkdir -p ${fixed} && mount --bind ${ours[i]} ${fixed}`)
    const noGsync = join(this.#directory, 'no-gsyncd')
    writeFileSync(noGsync, '#!/bin/sh\n[ "$1" = --version ] && echo gsyncd\nexit 0\n', { mode: 0o755 })
    const hide = `for file in ${GSYNCD}; do mount --bind ${noGsync} "$file"; done`
    const log = join(this.#directory, 'logs/glusterd.log')
    const run = `exec glusterd --no-daemon --volfile=${configuration} --log-file=${log} --pid-file=${join(this.#directory, 'glusterd.pid')}`
    const apart = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
    return [...apart, 'sh', '-c', [...binds, hide, run].join(' && ')]
  }

  #cli(args: readonly string[]): string[] {
    const socket = `--glusterd-sock=${join(this.#directory, 'glusterd.sock')}`
    const log = `--log-file=${join(this.#directory, 'logs/cli.log')}`
    return [...this.inside, 'gluster', socket, log, '--mode=script', ...args]
  }

  // What is asked before glusterd is ready is never answered.
  async #takesCommands(): Promise<void> {
    const [program, ...args] = this.#cli(['volume', 'list'])
    await succeed(program as string, args, { timeoutMs: COMMAND_TRY_MS })
  }

  async #mounted(): Promise<void> {
    await this.#run('mountpoint', '--quiet', this.mountPoint)
  }

  async #run(...command: string[]): Promise<void> {
    const [program, ...args] = [...this.inside, ...command]
    await succeed(program as string, args)
  }
}

async function start(directory: string, wanted: ReadonlySet<string>): Promise<RunningSystem> {
  const cluster = new GlusterCluster(directory)
  const servers: BenchServer[] = []
  const close = async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
    await cluster[Symbol.asyncDispose]()
  }
  try {
    await cluster.start()
    const options = async (name: string): Promise<ExportOptions> => ({
      name,
      version: await versionOf('glusterd'),
      directory,
      settings: { bricks: BRICKS.length, replicas: BRICKS.length, 'performance.write-behind': 'off' },
      systemPids: () => cluster.programs.pids,
    })
    if (wanted.has('gluster-iscsi')) {
      const backing = ['--bstype', 'rdwr', '-b', join(cluster.mountPoint, FILE)]
      const inside = { ...(await options('gluster-iscsi')), prefix: cluster.inside }
      servers.push(await exportByTgt(inside, backing))
    }
    if (wanted.has('gluster-nbd')) {
      const image = `gluster://${cluster.address}/${VOLUME}/${FILE}`
      servers.push(await exportByQemuNbd(await options('gluster-nbd'), image))
    }
  } catch (error) {
    await close()
    throw error
  }
  return { servers, [Symbol.asyncDispose]: close }
}

export const GLUSTER: SystemKind = {
  rival: 'gluster',
  servers: ['gluster-iscsi', 'gluster-nbd'],
  programs: ['glusterd', 'gluster', 'glusterfs', 'unshare', 'nsenter', 'tgtd', 'qemu-nbd'],
  packages: ['glusterfs-server', 'glusterfs-client', 'util-linux', 'tgt', 'qemu-utils', 'qemu-block-extra'],
  start,
}
