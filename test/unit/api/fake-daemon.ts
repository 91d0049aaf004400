import type { ApiBackend, MetricSources } from '../../../src/api/backend.ts'
import type { ClusterSession } from '../../../src/control/cluster-sessions.ts'
import type { ChapChange, Control, Job, NewVolume, VolumeShown } from '../../../src/control/control.ts'
import type { PeerInfo, TargetRecord } from '../../../src/control/records.ts'
import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import { IoStats } from '../../../src/lib/io-stats.ts'
import type { ScrubProgress } from '../../../src/store/brick.ts'
import { NO_LIMITS } from '../../../src/volume/throttle/volume-limits.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { MemoryVolume } from '../../lib/memory-volume.ts'

const NOW = '2026-11-21T00:00:00.000Z'

const PEER: PeerInfo = {
  id: 'peer-1',
  number: 1,
  addresses: ['127.0.0.1:3260'],
  labels: { zone: 'a' },
  state: 'up',
  capacityBytes: 2 ** 40,
  usedBytes: 2 ** 30,
  peerAddress: null,
  brick: '00000000-0000-4000-8000-000000000001',
  ranges: 3,
  startedAt: NOW,
  lastSeenAt: NOW,
  resync: null,
}
const OVERVIEW = {
  peers: 1,
  peersUp: 1,
  volumes: { ok: 1, degraded: 0, waiting: 0 },
  balanced: true,
  rangesToMove: 0,
  metadata: 'current',
} as const

/** A daemon of plain objects behind the API's own interfaces. */
export class FakeDaemon implements ApiBackend {
  readonly volumes = new Map<string, VolumeShown>()
  readonly data = new Map<string, MemoryVolume>()
  readonly targets = new Map<string, TargetRecord>()
  readonly calls: unknown[][] = []
  sessions: ClusterSession[] = []
  /** Peers that do not say which sessions they have. */
  silent: string[] = []
  jobList: Job[] = []
  scrub: ScrubProgress | null = null
  readonly scrubBytesPerSecond = 67_108_864
  unready: string | null = null
  readonly control: Control
  readonly metrics: MetricSources

  constructor() {
    this.control = this.#control()
    this.metrics = this.#metrics()
  }

  openVolume(name: string): VolumeHandle {
    return this.memory(name).open({ protocol: 'internal' })
  }

  memory(name: string): MemoryVolume {
    const found = this.data.get(name)
    if (found === undefined) throw noVolume(name)
    return found
  }

  notReady(): string | null {
    return this.unready
  }

  async stopScrub(): Promise<void> {
    if (this.scrub !== null) this.scrub = { ...this.scrub, endedAtMs: 1 }
  }

  async status() {
    const brick = {
      limitBytes: 2 ** 40,
      usedBytes: 2 ** 30,
      warnAtBytes: 2 ** 39,
      dirtyBytes: 0,
      dirtyCapBytes: 2 ** 30,
    }
    return {
      version: '0.1.0',
      state: 'serving' as const,
      startedAt: NOW,
      clusterId: 'c',
      peer: 'peer-1',
      portals: [{ address: '127.0.0.1:3260', advertised: null }],
      nbd: [{ address: '127.0.0.1:10809', advertised: null }],
      volumes: this.volumes.size,
      sessions: this.sessions.length,
      brick: { ...brick, state: 'warm' as const, failure: null },
      cluster: OVERVIEW,
      residentBytes: 2 ** 26,
    }
  }

  async doctor() {
    return [{ check: 'space', state: 'warning' as const, says: 'the brick is 90 % full' }]
  }

  #peer(id: string): PeerInfo {
    if (id === PEER.id) return PEER
    throw new HoldfastError('ERR_PEER_NOT_FOUND', `there is no peer '${id}'`)
  }

  #find(name: string): VolumeShown {
    const found = this.volumes.get(name)
    if (found === undefined) throw noVolume(name)
    return found
  }

  #refuseInUse(name: string): void {
    const { sessions } = this.#find(name)
    const message = `volume '${name}' is used by ${sessions} sessions: end them, or use --force`
    if (sessions > 0) throw new HoldfastError('ERR_VOLUME_BUSY', message)
  }

  #target(name: string): TargetRecord {
    const iqn = name.startsWith('iqn.') ? name : `iqn.2026-11.io.holdfast:${name}`
    const found = this.targets.get(iqn)
    if (found === undefined) throw new HoldfastError('ERR_TARGET_NOT_FOUND', `there is no target '${name}'`)
    return found
  }

  #putTarget(record: TargetRecord): TargetRecord {
    this.targets.set(record.iqn, record)
    return record
  }

  #create(volume: NewVolume): VolumeShown {
    if (this.volumes.has(volume.name)) {
      throw new HoldfastError('ERR_VOLUME_EXISTS', `there is a volume '${volume.name}' already`)
    }
    const iqn = `iqn.2026-11.io.holdfast:${volume.name}`
    const shown: VolumeShown = {
      name: volume.name,
      uuid: '00000000-0000-4000-8000-000000000000',
      sizeBytes: volume.sizeBytes,
      usedBytes: 0,
      blockSizeBytes: volume.blockSizeBytes ?? 512,
      replicas: 1,
      minReplicas: 1,
      minReplicasWanted: null,
      readOnly: volume.readOnly ?? false,
      removable: false,
      naa: '602484f0000000000000000000000000',
      limits: { ...NO_LIMITS, ...volume.limits },
      createdAt: NOW,
      state: 'ready',
      epoch: 1,
      generation: 1,
      setVersion: 1,
      targets: [{ iqn, lun: 0, readOnly: false }],
      nbd: 'open',
      uris: [`iscsi://127.0.0.1:3260/${iqn}/0`],
      sessions: 0,
      replication: {
        owner: 'peer-1',
        health: 'ok',
        members: [{ peer: 'peer-1', state: 'in sync', ranges: 1, behindRanges: 0, resync: null }],
        lossGeneration: 0,
      },
      placement: [{ firstRange: 0, lastRange: 0, peers: ['peer-1'], why: 'every peer has a copy' }],
    }
    this.volumes.set(volume.name, shown)
    this.data.set(volume.name, new MemoryVolume({ sizeBytes: volume.sizeBytes }))
    const luns = [{ lun: 0, volume: volume.name, readOnly: false }]
    this.targets.set(iqn, {
      iqn,
      luns,
      openToAll: true,
      acl: [],
      chap: null,
      chapByInitiator: {},
      createdAt: NOW,
    })
    return shown
  }

  #change(name: string, change: Partial<VolumeShown>): VolumeShown {
    const changed = { ...this.#find(name), ...change }
    this.volumes.set(name, changed)
    return changed
  }

  #control(): Control {
    const { calls } = this
    const asked = (...call: unknown[]): void => {
      calls.push(call)
    }
    return {
      createVolume: async volume => {
        asked('createVolume', volume)
        return this.#create(volume)
      },
      listVolumes: async () => [...this.volumes.values()],
      showVolume: async name => this.#find(name),
      refuseVolumeInUse: async name => this.#refuseInUse(name),
      setVolume: async (name, { limits, ...change }) => {
        const before = this.#find(name).limits
        return this.#change(name, { ...change, limits: { ...before, ...limits } })
      },
      resizeVolume: async (name, sizeBytes) => {
        if (sizeBytes < this.#find(name).sizeBytes) {
          throw new HoldfastError('ERR_VOLUME_SHRINK', `volume '${name}' cannot be made smaller`)
        }
        return this.#change(name, { sizeBytes })
      },
      deleteVolume: async (name, options) => {
        if (this.#find(name).sessions > 0 && !options.force) {
          throw new HoldfastError('ERR_VOLUME_BUSY', `volume '${name}' is in use`)
        }
        this.volumes.delete(name)
        const job: Job = {
          id: 'delete-1',
          kind: 'delete',
          subject: name,
          doneBytes: 10,
          totalBytes: 10,
          state: 'done',
          error: null,
        }
        this.jobList.push(job)
        return { ...job, state: 'running', doneBytes: 0 }
      },
      connect: async (name, initiator, dialled) => {
        asked('connect', name, initiator, dialled)
        const iqn = this.#find(name).targets[0]!.iqn
        return {
          target_discovered: false,
          target_portal: '127.0.0.1:3260',
          target_iqn: iqn,
          target_lun: 0,
          target_portals: ['127.0.0.1:3260', '[::1]:3260'],
          target_iqns: [iqn, iqn],
          target_luns: [0, 0],
          volume_id: '00000000-0000-4000-8000-000000000000',
          auth_method: 'CHAP',
          auth_username: 'generated-user',
          auth_password: 'generated-secret',
          discard: true,
          access_mode: 'rw',
        }
      },
      disconnect: async (name, initiator) => asked('disconnect', name, initiator),
      listTargets: async () => [...this.targets.values()],
      showTarget: async name => this.#target(name),
      createTarget: async name =>
        this.#putTarget({
          iqn: name,
          luns: [],
          openToAll: true,
          acl: [],
          chap: null,
          chapByInitiator: {},
          createdAt: NOW,
        }),
      deleteTarget: async name => void this.targets.delete(this.#target(name).iqn),
      addLun: async (name, lun, volume, { readOnly }) => {
        const record = this.#target(name)
        return this.#putTarget({ ...record, luns: [...record.luns, { lun, volume, readOnly }] })
      },
      removeLun: async (name, lun) => {
        const record = this.#target(name)
        return this.#putTarget({ ...record, luns: record.luns.filter(entry => entry.lun !== lun) })
      },
      addAcl: async (name, initiator) => {
        const record = this.#target(name)
        if (initiator === 'all') return this.#putTarget({ ...record, openToAll: true, acl: [] })
        return this.#putTarget({ ...record, openToAll: false, acl: [...record.acl, initiator] })
      },
      removeAcl: async (name, initiator) => {
        const record = this.#target(name)
        return this.#putTarget({ ...record, acl: record.acl.filter(entry => entry !== initiator) })
      },
      setChap: async (name, { initiator, ...chap }: ChapChange) => {
        asked('setChap', name, { initiator, ...chap })
        const record = this.#target(name)
        if (initiator === undefined) return this.#putTarget({ ...record, chap })
        return this.#putTarget({
          ...record,
          chapByInitiator: { ...record.chapByInitiator, [initiator]: chap },
        })
      },
      clearChap: async (name, initiator) => {
        asked('clearChap', name, initiator)
        return this.#putTarget({ ...this.#target(name), chap: null })
      },
      setDiscoveryChap: async chap => asked('setDiscoveryChap', chap),
      clearDiscoveryChap: async () => asked('clearDiscoveryChap'),
      listSessions: async () => ({ sessions: this.sessions, silent: this.silent }),
      kickSession: async id => {
        if (!this.sessions.some(session => session.id === id)) {
          throw new HoldfastError('ERR_SESSION_NOT_FOUND', `there is no session '${id}'`)
        }
        this.sessions = this.sessions.filter(session => session.id !== id)
      },
      listPeers: async () => [PEER],
      showPeer: async id => this.#peer(id),
      drainPeer: async id => ({ ...this.#peer(id), state: 'draining' }),
      undrainPeer: async id => this.#peer(id),
      removePeer: async (id, options) => asked('removePeer', this.#peer(id).id, options),
      overview: async () => OVERVIEW,
      recoverVolume: async (name, options) => {
        asked('recoverVolume', name, options)
        return this.#find(name)
      },
      listEvents: async limit =>
        [{ at: NOW, kind: 'volume-created', subject: 'demo', message: 'created' }].slice(0, limit),
      jobs: () => this.jobList,
      startScrub: async options => {
        asked('startScrub', options)
        const counts = { checkedBytes: 0, totalBytes: 100, badBlocks: 0, settledBlocks: 0 }
        this.scrub = { ...counts, startedAtMs: 0, endedAtMs: null }
        return {
          id: 's',
          kind: 'scrub',
          subject: 'brick',
          doneBytes: 0,
          totalBytes: 100,
          state: 'running',
          error: null,
        }
      },
    }
  }

  #metrics(): MetricSources {
    const stats = new IoStats()
    stats.reads = 3
    stats.readBytes = 12_288
    stats.addLatency(5)
    stats.addLatency(100)
    const eventLoop = { stalls: 2, delay: new IoStats().latency, delaySumUs: 0 }
    const session = {
      session: 'iscsi-1',
      initiator: 'iqn.2026-11.test:a',
      target: 'iqn.2026-11.io.holdfast:demo',
    }
    return {
      volumes: () => [{ volume: 'demo', stats }],
      sessions: () => [{ ...session, stats }],
      throttled: () => [{ volume: 'demo', operations: 3, waitedMs: 1500 }],
      capacity: { limitBytes: 100, usedBytes: 10, warnAtBytes: 90, dirtyBytes: 7, dirtyCapBytes: 50 },
      brick: {
        checksumErrors: 1,
        flushes: 4,
        fdatasyncs: 2,
        readsInline: 5,
        readsWaited: 6,
        writesInline: 7,
        writesWaited: 8,
      },
      scrub: null,
      brickFailed: false,
      closedConnections: () => [['login timeout', 1]],
      closedNbdConnections: () => [['handshakeTimeout', 1]],
      eventLoop,
      replication: [],
    }
  }
}

function noVolume(name: string): HoldfastError {
  return new HoldfastError('ERR_VOLUME_NOT_FOUND', `there is no volume '${name}'`)
}
