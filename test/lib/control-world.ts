import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { joinCluster } from '../../src/control/cluster.ts'
import { type ControlPlane, openControl } from '../../src/control/open-control.ts'
import type {
  KnownEpoch,
  Log,
  Portal,
  ServedLun,
  ServedTarget,
  ServedVolume,
  SessionSource,
  VolumeHost,
} from '../../src/control/ports.ts'
import type { SessionInfo, VolumeRecord } from '../../src/control/records.ts'
import { HoldfastError } from '../../src/errors/holdfast-error.ts'
import type { TargetLookup } from '../../src/iscsi-target/target-directory.ts'
import { openEmbeddedStore } from '../../src/metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../../src/metadata/metadata-store.ts'
import type { VolumeLimits } from '../../src/volume/throttle/volume-limits.ts'

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} }

/** Called before each step of a change; throwing there is a crash before it. */
export type Step = (what: string) => void | Promise<void>

/** Stands for the bricks: what is made here survives a restart of control. */
export class FakeHost implements VolumeHost {
  /** By uuid: what has descriptors. */
  readonly made = new Map<string, { sizeBytes: number }>()
  readonly open = new Map<string, FakeVolume>()
  /** What owners were told of lost rights. */
  readonly fences: string[] = []
  /** Clients of other gateways; null where one does not answer. */
  usersElsewhere: string[] | null = []
  /** What the replicas of every volume say. */
  known: KnownEpoch = { epoch: 0, setVersion: 0 }
  step: Step = () => {}

  async createVolume(record: VolumeRecord): Promise<void> {
    await this.step(`create ${record.name}`)
    this.made.set(record.uuid, { sizeBytes: record.sizeBytes })
  }

  async openVolume(record: VolumeRecord): Promise<ServedVolume> {
    await this.step(`open ${record.name}`)
    if (!this.made.has(record.uuid)) throw new HoldfastError('ERR_VOLUME_NOT_FOUND')
    if (this.open.has(record.uuid)) throw new Error(`${record.name} is open already`)
    const volume = new FakeVolume(this, record)
    this.open.set(record.uuid, volume)
    return volume as unknown as ServedVolume
  }

  async addReplicas({ name }: VolumeRecord, peers: readonly number[]): Promise<void> {
    await this.step(`add ${name} on ${[...peers].sort()}`)
  }

  async growVolume(record: VolumeRecord): Promise<void> {
    const made = this.made.get(record.uuid)
    if (made === undefined) throw new HoldfastError('ERR_VOLUME_NOT_FOUND')
    if (made.sizeBytes === record.sizeBytes) return
    await this.step(`grow ${record.name}`)
    this.made.set(record.uuid, { sizeBytes: record.sizeBytes })
  }

  async deleteVolume(record: VolumeRecord, progress: (freedBytes: number) => void): Promise<void> {
    await this.step(`delete ${record.name}`)
    if (this.open.has(record.uuid)) throw new Error(`${record.name} is still open`)
    progress(4096)
    this.made.delete(record.uuid)
  }

  async highestKnown(): Promise<KnownEpoch> {
    return this.known
  }

  usedOnBricks(): number[] {
    return [8192]
  }
}

/** Of a volume only what control looks at. */
class FakeVolume {
  readonly name: string
  sizeBytes: number
  readOnly: boolean
  limits: VolumeLimits
  readonly #host: FakeHost
  readonly #uuid: string

  constructor(host: FakeHost, record: VolumeRecord) {
    this.#host = host
    this.#uuid = record.uuid
    this.name = record.name
    this.sizeBytes = record.sizeBytes
    this.readOnly = record.readOnly
    this.limits = record.limits
  }

  apply(record: VolumeRecord): void {
    this.sizeBytes = record.sizeBytes
    this.readOnly = record.readOnly
    this.limits = record.limits
  }

  onChange(): () => void {
    return () => {}
  }

  async usersElsewhere(): Promise<readonly string[]> {
    if (this.#host.usersElsewhere === null) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    return this.#host.usersElsewhere
  }

  async fence(initiator: string, rightsVersion: number): Promise<void> {
    await this.#host.step(`fence ${this.name}`)
    this.#host.fences.push(`${this.name} ${initiator} ${rightsVersion}`)
  }

  async close(): Promise<void> {
    this.#host.open.delete(this.#uuid)
  }
}

/** A target device that remembers every LUN map it was given, as text. */
export class FakeTarget {
  readonly name: string
  readonly history: string[] = []
  units: ReadonlyMap<number, ServedLun> = new Map()

  constructor(name: string) {
    this.name = name
  }

  async setUnits(units: ReadonlyMap<number, ServedLun>): Promise<void> {
    this.units = units
    const shown = [...units].map(
      ([lun, { volume, readOnly }]) => `${lun}:${volume.name}${readOnly ? ' ro' : ''}`,
    )
    this.history.push(shown.join(', '))
  }
}

/** Sessions that a test puts there. */
export class FakeSessions implements SessionSource {
  readonly kicked: string[] = []
  list: SessionInfo[] = []

  add(session: Partial<SessionInfo> & { readonly target: string | null }): void {
    this.list.push({
      id: `iscsi-${this.list.length + 1}`,
      protocol: 'iscsi',
      kind: 'normal',
      initiator: 'iqn.1993-08.org.debian:a',
      isid: '000000000000',
      portal: '127.0.0.1:3260',
      remoteAddress: '127.0.0.1:40000',
      connectedAt: '2026-11-21T00:00:00.000Z',
      commandsInFlight: 0,
      readBytes: 0,
      writtenBytes: 0,
      headerDigest: false,
      dataDigest: false,
      ...session,
    })
  }

  sessions(): readonly SessionInfo[] {
    return this.list
  }

  kick(id: string, reason: string): boolean {
    const before = this.list.length
    this.list = this.list.filter(session => session.id !== id)
    if (this.list.length < before) this.kicked.push(`${id}: ${reason}`)
    return this.list.length < before
  }
}

/** One machine: metadata on disk, bricks in memory, and control that can be stopped and started. */
export class ControlWorld {
  readonly host = new FakeHost()
  readonly sessions = new FakeSessions()
  readonly targets = new Map<string, FakeTarget>()
  portals: Portal[] = [{ listener: 0, address: '127.0.0.1:3260', advertised: null }]
  nowMs = Date.UTC(2026, 10, 21)
  /** As configured; from the next start on. */
  nbdResize = false
  readonly #directory: string
  store!: MetadataStore
  plane!: ControlPlane

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async create(): Promise<ControlWorld> {
    const world = new ControlWorld(await mkdtemp(join(tmpdir(), 'holdfast-control-')))
    await world.start()
    return world
  }

  get control() {
    return this.plane.control
  }

  /** As the directory answers a login over the first portal. */
  lookUp(target: string, initiator: string): TargetLookup {
    return this.plane.directory.lookUp(target, initiator, { listener: 0, localAddress: '127.0.0.1:3260' })
  }

  /** `wrap` makes what stands between control and the store. */
  async start(wrap: (store: MetadataStore) => MetadataStore = store => store): Promise<void> {
    this.store = await openEmbeddedStore({ directory: this.#directory })
    this.plane = await this.openPlane('peer-1', wrap(this.store))
    this.plane.sessions.add(this.sessions)
  }

  async openPlane(
    peerId: string,
    metadata = this.store,
    host: VolumeHost = this.host,
  ): Promise<ControlPlane> {
    return openControl({
      metadata,
      cluster: await joinCluster(this.store, { id: peerId, addresses: [], labels: {} }, () => this.nowMs++),
      host,
      brick: { capacity: { limitBytes: 100, usedBytes: 10 }, startScrub: () => {}, scrub: null },
      targetFactory: iqn => {
        const target = new FakeTarget(iqn)
        this.targets.set(iqn, target)
        return target as unknown as ServedTarget
      },
      portals: () => this.portals,
      nbdResize: this.nbdResize,
      log: silentLog,
      now: () => this.nowMs++,
    })
  }

  async stop(): Promise<void> {
    await this.plane[Symbol.asyncDispose]()
    await this.store[Symbol.asyncDispose]()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async destroy(): Promise<void> {
    await this.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** Waits for the deletions that are under way. */
  async jobsDone(): Promise<void> {
    while (this.control.jobs().some(job => job.state === 'running')) {
      await new Promise(resolve => setTimeout(resolve, 2))
    }
  }
}
