import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../../test/lib/free-port.ts'
import { succeed } from '../../../test/lib/programs.ts'
import { type BenchServer, VOLUME_BYTES } from '../../servers/bench-server.ts'
import { type ExportOptions, exportByQemuNbd, exportByTgt, versionOf } from './exports.ts'
import { ProgramGroup } from './program-group.ts'
import type { RunningSystem, SystemKind } from './system.ts'

const OSDS = ['0', '1', '2']
const OSD_BYTES = 8 * VOLUME_BYTES
const PLACEMENT_GROUPS = '32'
const IMAGE = 'rbd/bench'

/** What differs from Ceph's defaults: where it lives, and that a copy may be on the same machine. */
function configuration(directory: string, fsid: string, monitor: string): string {
  return `[global]
fsid = ${fsid}
mon initial members = a
mon host = ${monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
admin socket =
run dir = ${directory}
crash dir = ${join(directory, 'crash')}
log file = ${join(directory, '$name.log')}
mon data = ${join(directory, 'mon.$id')}
mgr data = ${join(directory, 'mgr.$id')}
osd data = ${join(directory, 'osd.$id')}
bluestore block size = ${OSD_BYTES}
osd pool default size = ${OSDS.length}
osd crush chooseleaf type = 0
[client]
rbd cache = false
`
}

/** A monitor, a manager and three OSDs (BlueStore on a file each) as processes of ours. */
class CephCluster implements AsyncDisposable {
  readonly configurationFile: string
  readonly programs: ProgramGroup
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
    this.configurationFile = join(directory, 'ceph.conf')
    this.programs = new ProgramGroup(directory)
  }

  async start(): Promise<void> {
    const fsid = randomUUID()
    const monitor = `[v2:127.0.0.1:${await freePort()},v1:127.0.0.1:${await freePort()}]`
    for (const part of ['mon.a', 'mgr.x', 'crash', ...OSDS.map(id => `osd.${id}`)]) {
      mkdirSync(join(this.#directory, part))
    }
    writeFileSync(this.configurationFile, configuration(this.#directory, fsid, monitor))
    const map = join(this.#directory, 'monmap')
    await succeed('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', monitor, map])
    await succeed('ceph-mon', [...this.#config, '-i', 'a', '--mkfs', '--monmap', map])
    const mon = this.programs.start('mon', ['ceph-mon', ...this.#config, '-i', 'a', '-f'])
    await this.programs.ready('the monitor answers', mon, () => this.ceph('mon', 'stat'))
    this.programs.start('mgr', ['ceph-mgr', ...this.#config, '-i', 'x', '-f'])
    await Promise.all(OSDS.map(id => this.#startOsd(id)))
    await this.ceph('osd', 'pool', 'create', 'rbd', PLACEMENT_GROUPS)
    await this.programs.ready('all placement groups are clean', mon, () => this.#clean())
    await succeed('rbd', [...this.#config, 'pool', 'init', 'rbd'])
    const size = ['--size', `${VOLUME_BYTES}B`, '--image-feature', 'layering']
    await succeed('rbd', [...this.#config, 'create', IMAGE, ...size])
  }

  /** `ceph …`, what it prints. */
  ceph(...args: string[]): Promise<string> {
    return succeed('ceph', [...this.#config, '--connect-timeout', '10', ...args])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.programs[Symbol.asyncDispose]()
  }

  get #config(): string[] {
    return ['-c', this.configurationFile]
  }

  async #startOsd(id: string): Promise<void> {
    const uuid = randomUUID()
    await this.ceph('osd', 'new', uuid, id)
    await succeed('ceph-osd', [...this.#config, '-i', id, '--mkfs', '--osd-uuid', uuid])
    this.programs.start(`osd.${id}`, ['ceph-osd', ...this.#config, '-i', id, '-f'])
  }

  async #clean(): Promise<void> {
    const status = JSON.parse(await this.ceph('status', '--format', 'json')) as {
      pgmap: { num_pgs: number; pgs_by_state: readonly { state_name: string; count: number }[] }
    }
    const { num_pgs: all, pgs_by_state: states } = status.pgmap
    const clean = states.find(state => state.state_name === 'active+clean')?.count ?? 0
    if (clean < Number(PLACEMENT_GROUPS) || clean < all) throw new Error(`${clean} of ${all} are clean`)
  }
}

async function start(directory: string, wanted: ReadonlySet<string>): Promise<RunningSystem> {
  const cluster = new CephCluster(directory)
  const servers: BenchServer[] = []
  const close = async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
    await cluster[Symbol.asyncDispose]()
  }
  try {
    await cluster.start()
    const options = async (name: string): Promise<ExportOptions> => ({
      name,
      version: await versionOf('ceph-osd'),
      directory,
      settings: { osds: OSDS.length, size: OSDS.length, store: 'bluestore on a file', 'rbd cache': false },
      systemPids: () => cluster.programs.pids,
    })
    if (wanted.has('ceph-iscsi')) {
      const backing = ['--bstype', 'rbd', '-b', IMAGE, '--bsopts']
      const where = `conf=${cluster.configurationFile};id=admin`
      servers.push(await exportByTgt(await options('ceph-iscsi'), [...backing, where]))
    }
    if (wanted.has('ceph-nbd')) {
      const image = `rbd:${IMAGE}:conf=${cluster.configurationFile}`
      servers.push(await exportByQemuNbd(await options('ceph-nbd'), image))
    }
  } catch (error) {
    await close()
    throw error
  }
  return { servers, [Symbol.asyncDispose]: close }
}

export const CEPH: SystemKind = {
  rival: 'ceph',
  servers: ['ceph-iscsi', 'ceph-nbd'],
  programs: ['ceph-mon', 'ceph-mgr', 'ceph-osd', 'ceph', 'rbd', 'tgtd', 'qemu-nbd'],
  packages: [
    'ceph-mon',
    'ceph-mgr',
    'ceph-osd',
    'ceph-common',
    'tgt',
    'tgt-rbd',
    'qemu-utils',
    'qemu-block-extra',
  ],
  start,
}
