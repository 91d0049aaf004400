import type { ClusterOverview, Control } from '../control/control.ts'
import type { IoStats } from '../lib/io-stats.ts'
import type { ReplicationStatistics } from '../replication/replication.ts'
import type { BrickCapacity, BrickCounters, ScrubProgress } from '../store/brick.ts'
import type { VolumeHandle } from '../volume/volume.ts'

export interface DaemonStatus {
  readonly version: string
  readonly state: 'serving' | 'stopping' | 'failed'
  readonly startedAt: string
  readonly clusterId: string
  readonly peer: string
  readonly portals: readonly { readonly address: string; readonly advertised: string | null }[]
  readonly nbd: readonly { readonly address: string; readonly advertised: string | null }[]
  readonly volumes: number
  readonly sessions: number
  readonly brick: BrickCapacity & { readonly state: 'warm' | 'cold'; readonly failure: string | null }
  readonly cluster: ClusterOverview
  readonly residentBytes: number
}

/** One thing that `doctor` looked at. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warning' | 'failure'
  readonly says: string
}

/** Plain counters, read when metrics are scraped. */
export interface MetricSources {
  volumes(): Iterable<{ readonly volume: string; readonly stats: IoStats }>
  sessions(): Iterable<{
    readonly session: string
    readonly initiator: string
    readonly target: string
    readonly stats: IoStats
  }>
  /** Of the volumes that this daemon owns. */
  throttled(): Iterable<{ readonly volume: string; readonly operations: number; readonly waitedMs: number }>
  readonly capacity: BrickCapacity
  readonly brick: BrickCounters
  readonly scrub: ScrubProgress | null
  readonly brickFailed: boolean
  /** iSCSI connections that ended, by reason. */
  closedConnections(): Iterable<readonly [reason: string, count: number]>
  /** NBD connections that ended, by reason. */
  closedNbdConnections(): Iterable<readonly [reason: string, count: number]>
  readonly eventLoop: {
    readonly stalls: number
    readonly delay: IoStats['latency']
    readonly delaySumUs: number
  }
  /** Of each peer of this process; empty where volumes live on one brick. */
  readonly replication: readonly ReplicationStatistics[]
}

/** What the API asks of the daemon beside Control. */
export interface ApiBackend {
  readonly control: Control
  readonly metrics: MetricSources
  /** A handle of the daemon's own; throws ERR_VOLUME_NOT_FOUND or ERR_BLOCK_UNAVAILABLE. */
  openVolume(name: string): VolumeHandle
  status(): Promise<DaemonStatus>
  doctor(): Promise<Finding[]>
  /** Why the daemon should get no traffic, or null when it serves. */
  notReady(): string | null
  readonly scrub: ScrubProgress | null
  readonly scrubBytesPerSecond: number
  stopScrub(): Promise<void>
}
