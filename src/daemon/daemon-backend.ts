import type { ApiBackend, DaemonStatus, Finding, MetricSources } from '../api/backend.ts'
import type { Config } from '../config/schema.ts'
import type { Cluster } from '../control/cluster.ts'
import type { Control } from '../control/control.ts'
import type { ControlPlane } from '../control/open-control.ts'
import type { NbdPortal, Portal } from '../control/ports.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { IscsiTarget } from '../iscsi-target/iscsi-target.ts'
import { nativeCalls } from '../lib/system-calls.ts'
import { etcdHealth } from '../metadata/etcd/etcd-health.ts'
import type { EtcdStoreOptions } from '../metadata/etcd/etcd-store.ts'
import type { NbdServer } from '../nbd/nbd-server.ts'
import type { Replication } from '../replication/replication.ts'
import type { ScrubProgress } from '../store/brick.ts'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import type { VolumeHandle } from '../volume/volume.ts'
import { certificates } from './certificates.ts'
import { clusterChecks } from './cluster-checks.ts'
import { examine } from './doctor.ts'
import { fileSystemOf, openFilesMax } from './file-limits.ts'
import { totalsByName } from './io-totals.ts'
import type { IscsiSessions } from './iscsi-sessions.ts'
import type { LocalBricks } from './local-bricks.ts'
import type { LocalTargets } from './local-target.ts'
import type { NbdSessions } from './nbd-sessions.ts'
import type { Watchdog } from './watchdog.ts'

export interface BackendParts {
  readonly config: Config
  readonly version: string
  readonly cluster: Cluster
  readonly brick: LocalBricks
  readonly plane: ControlPlane
  readonly targets: LocalTargets
  readonly sessions: IscsiSessions
  readonly target: IscsiTarget
  readonly nbdSessions: NbdSessions
  readonly nbdServer: NbdServer
  readonly watchdog: Watchdog
  /** Null when the metadata is in the data directory. */
  readonly etcd: EtcdStoreOptions | null
  /** Those whose operations are ordered here. */
  readonly ownedVolumes: () => Iterable<OwnedVolume>
  /** Of every peer of this process; none where volumes live on one brick. */
  readonly replications: readonly Replication[]
  readonly brokenLinks: () => readonly string[]
  readonly portals: () => readonly Portal[]
  readonly nbdPortals: () => readonly NbdPortal[]
}

/** What the API asks of a running daemon. */
export class DaemonBackend implements ApiBackend {
  readonly metrics: MetricSources
  /** Set once the portals are open. */
  ready = false
  stopping = false
  readonly #parts: BackendParts
  readonly #startedAt = new Date().toISOString()

  constructor(parts: BackendParts) {
    this.#parts = parts
    this.metrics = metricSources(parts)
  }

  get control(): Control {
    return this.#parts.plane.control
  }

  get scrub(): ScrubProgress | null {
    return this.#parts.brick.scrub
  }

  get scrubBytesPerSecond(): number {
    return this.#parts.config.store.scrubBandwidth
  }

  stopScrub(): Promise<void> {
    return this.#parts.brick.stopScrub()
  }

  openVolume(name: string): VolumeHandle {
    const volume = this.#parts.plane.serving.volume(name)
    if (volume === null)
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', `volume '${name}' is not served now; try again`)
    return volume.open({ protocol: 'internal' })
  }

  notReady(): string | null {
    if (this.stopping) return 'stopping'
    if (!this.ready) return 'starting'
    return this.#parts.brick.isServing ? null : 'the brick has left service'
  }

  async status(): Promise<DaemonStatus> {
    const { brick, cluster, version, portals, nbdPortals } = this.#parts
    const overview = await this.control.overview()
    const { ok, degraded, waiting } = overview.volumes
    const { limitBytes, usedBytes, warnAtBytes, dirtyBytes, dirtyCapBytes } = brick.capacity
    return {
      version,
      state: this.stopping ? 'stopping' : brick.isServing ? 'serving' : 'failed',
      startedAt: this.#startedAt,
      clusterId: cluster.clusterId,
      peer: cluster.peerId,
      portals: portals().map(({ address, advertised }) => ({ address, advertised })),
      nbd: nbdPortals().map(({ address, advertised }) => ({ address, advertised })),
      volumes: ok + degraded + waiting,
      sessions: this.#parts.plane.sessions.list().length,
      brick: {
        state: brick.state,
        failure: brick.failure?.message ?? null,
        limitBytes,
        usedBytes,
        warnAtBytes,
        dirtyBytes,
        dirtyCapBytes,
      },
      cluster: overview,
      residentBytes: process.memoryUsage.rss(),
    }
  }

  async doctor(): Promise<Finding[]> {
    const { brick, portals, config, watchdog, etcd, brokenLinks } = this.#parts
    const cluster = clusterChecks(
      await this.control.overview(),
      etcd === null ? null : await etcdHealth(etcd),
      brokenLinks(),
    )
    const own = examine({
      brick,
      portals: portals().map(({ address }) => address),
      targets: await this.control.listTargets(),
      stalls: watchdog.stalls,
      longestStallMs: watchdog.longestMs,
      nativeCalls,
      openFilesMax: await openFilesMax(),
      connectionsMax: config.limits.connections,
      ...(await fileSystemOf(config.data)),
    })
    return [...own, await certificates(config), ...cluster]
  }
}

function metricSources(parts: BackendParts): MetricSources {
  const { brick, targets, sessions, target, watchdog, plane, nbdSessions, nbdServer } = parts
  return {
    *volumes() {
      const totals = totalsByName([...targets.unitStats(), ...nbdServer.exportStats()])
      for (const { name } of plane.serving.volumes()) {
        const stats = totals.get(name)
        if (stats !== undefined) yield { volume: name, stats }
      }
    },
    *sessions() {
      yield* sessions.measured()
      yield* nbdSessions.measured()
    },
    *throttled() {
      for (const { name, throttled } of parts.ownedVolumes()) yield { volume: name, ...throttled }
    },
    get capacity() {
      return brick.capacity
    },
    get brick() {
      return brick.counters
    },
    get scrub() {
      return brick.scrub
    },
    get brickFailed() {
      return brick.failure !== null
    },
    closedConnections: () => target.faults.entries(),
    closedNbdConnections: () => nbdServer.faults.entries(),
    eventLoop: watchdog,
    get replication() {
      return parts.replications.map(replication => replication.statistics())
    },
  }
}
