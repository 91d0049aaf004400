import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ClusterOverview, VolumeShown } from '../../src/control/control.ts'
import { Background, eventually } from '../../test/lib/cluster/background.ts'
import { EtcdMembers } from '../../test/lib/cluster/etcd-members.ts'
import { HostNetwork } from '../../test/lib/cluster/host-network.ts'
import { ISCSI_PORT, NBD_PORT, Peers } from '../../test/lib/cluster/peers.ts'
import { succeed } from '../../test/lib/programs.ts'
import type { Gateway } from '../../test/nemesis/disk.ts'
import type { Stall, WriterSettings } from './writer.ts'

export const HOSTS = ['a', 'b', 'c']
/** The metadata is on machines of its own, so that a peer's wire carries replication. */
const ETCD_HOSTS = ['m1', 'm2', 'm3']
const CLIENT = 'client'
const WRITER = fileURLToPath(new URL('./writer.ts', import.meta.url))
const WHOLE_MS = 180_000
const WRITER_END_MS = 10_000

/** Three daemons, three members of etcd and a client, each on a host of its own. */
export class FaultWorld implements AsyncDisposable {
  readonly network: HostNetwork
  readonly etcd: EtcdMembers
  readonly peers: Peers
  readonly directory: string
  #writers = 0

  private constructor(network: HostNetwork, directory: string) {
    this.network = network
    this.directory = directory
    this.etcd = new EtcdMembers(network, ETCD_HOSTS, directory)
    this.peers = new Peers(network, this.etcd, directory)
  }

  static async create(): Promise<FaultWorld> {
    const directory = mkdtempSync(join(tmpdir(), 'holdfast-faults-'))
    const world = new FaultWorld(await HostNetwork.create([...HOSTS, ...ETCD_HOSTS, CLIENT]), directory)
    try {
      await world.etcd.start()
      await world.peers.init('a')
      for (const host of HOSTS) await world.peers.join(host)
    } catch (error) {
      await world[Symbol.asyncDispose]()
      throw error
    }
    return world
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peers.stop()
    await this.etcd.stop()
    await this.network[Symbol.asyncDispose]()
    if (process.env.FAULTS_KEEP === undefined) rmSync(this.directory, { recursive: true, force: true })
  }

  gateway(host: string): Gateway {
    return { host: this.network.address(host), nbdPort: NBD_PORT, iscsiPort: ISCSI_PORT }
  }

  /** Runs a module's text on a host and answers what it prints. */
  evaluate(host: string, text: string): Promise<string> {
    const [program, ...args] = [
      ...this.network.on(host),
      process.execPath,
      '--input-type=module',
      '--eval',
      text,
    ]
    return succeed(program as string, args, { timeoutMs: WHOLE_MS })
  }

  async shown(volume: string): Promise<VolumeShown> {
    return await this.peers.json<VolumeShown>(this.peers.running[0] as string, 'volume', 'show', volume)
  }

  async ownerOf(volume: string): Promise<string> {
    return await eventually(`${volume} has an owner`, WHOLE_MS, async () => {
      const { owner } = (await this.shown(volume)).replication
      if (owner === null) throw new Error('nobody owns it')
      return owner
    })
  }

  async whole(volume: string): Promise<void> {
    await eventually(`${volume} is whole`, WHOLE_MS, async () => {
      const { health, members } = (await this.shown(volume)).replication
      if (health !== 'ok') throw new Error(JSON.stringify(members))
    })
  }

  /** The host of etcd's leader. */
  async etcdLeader(): Promise<string> {
    const statuses = await Promise.all(ETCD_HOSTS.map(host => this.#etcdStatus(host)))
    const at = statuses.findIndex(({ member, leader }) => member === leader)
    if (at < 0) throw new Error('etcd has no leader')
    return ETCD_HOSTS[at] as string
  }

  writer(settings: Omit<WriterSettings, 'stalls'>): Writer {
    const name = join(this.directory, `writer-${this.#writers++}`)
    const all: WriterSettings = { ...settings, stalls: `${name}.stalls` }
    const argv = [process.execPath, '--import', 'tsx', WRITER, JSON.stringify(all)]
    return new Writer(new Background([...this.network.on(CLIENT), ...argv], `${name}.log`), all.stalls)
  }

  /** Bytes that have passed the host's interface so far, both ways. */
  async wireBytes(host: string): Promise<number> {
    const [program, ...args] = [...this.network.on(host), 'cat', '/proc/net/dev']
    const line =
      (await succeed(program as string, args)).split('\n').find(text => text.includes('eth0:')) ?? ''
    const fields = line
      .slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/)
      .map(Number)
    return (fields[0] as number) + (fields[8] as number)
  }

  /** Keys that this member of etcd has written so far. */
  async etcdPuts(host: string): Promise<number> {
    const url = `http://${this.network.address(host)}:2379/metrics`
    const text = await this.evaluate(host, `console.log(await (await fetch('${url}')).text())`)
    return Number(/^etcd_debugging_mvcc_put_total (\S+)/m.exec(text)?.[1] ?? Number.NaN)
  }

  async overview(): Promise<ClusterOverview> {
    const { cluster } = await this.peers.json<{ cluster: ClusterOverview }>(
      this.peers.running[0] as string,
      'status',
    )
    return cluster
  }

  async #etcdStatus(host: string): Promise<{ member: string; leader: string }> {
    const url = `http://${this.network.address(host)}:2379/v3/maintenance/status`
    const answer = await this.evaluate(
      host,
      `console.log(await (await fetch('${url}', { method: 'POST', body: '{}' })).text())`,
    )
    const { header, leader } = JSON.parse(answer) as { header: { member_id: string }; leader: string }
    return { member: header.member_id, leader }
  }
}

/** A writer that runs on the client's host. */
export class Writer implements AsyncDisposable {
  readonly #process: Background
  readonly #stalls: string

  constructor(process: Background, stalls: string) {
    this.#process = process
    this.#stalls = stalls
  }

  /** Of the writes that waited at `sinceMs` or began between then and `untilMs`, the longest wait. */
  longestMs(sinceMs: number, untilMs: number): number {
    return Math.max(0, ...this.waitsMs(sinceMs, untilMs).values())
  }

  /** The same by volume, of those that waited at all; infinite where there was no acknowledgement until the end. */
  waitsMs(sinceMs: number, untilMs: number): Map<string, number> {
    const waits = new Map<string, number>()
    if (!existsSync(this.#stalls)) return waits
    for (const line of readFileSync(this.#stalls, 'utf8').trim().split('\n')) {
      const { volume, fromMs, toMs } = JSON.parse(line) as Stall
      const endMs = toMs ?? Number.POSITIVE_INFINITY
      if (endMs <= sinceMs || fromMs >= untilMs) continue
      waits.set(volume, Math.max(waits.get(volume) ?? 0, endMs - Math.max(fromMs, sinceMs)))
    }
    return waits
  }

  /** Throws when it does not end, as while a write is not acknowledged. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.signal('SIGTERM')
    const ended = await Promise.race([this.#process.exited.then(() => true), sleep(WRITER_END_MS, false)])
    await this.#process.kill()
    if (!ended) throw new Error('a write is not acknowledged at the end')
  }
}
