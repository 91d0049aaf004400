import type { VolumeLimits } from '../volume/throttle/volume-limits.ts'
import type { SessionsShown } from './cluster-sessions.ts'
import type { ConnectionProperties } from './connection-properties.ts'
import type { PlacementShown } from './placement/explain.ts'
import type { PeerInfo, TargetRecord, VolumeRecord } from './records.ts'
import type { ReplicasShown } from './replica-view.ts'

export interface VolumeShown extends VolumeRecord {
  /** Bytes that hold data, on one replica of each range; without bricks whose daemons do not answer. */
  readonly usedBytes: number
  readonly targets: readonly { readonly iqn: string; readonly lun: number; readonly readOnly: boolean }[]
  /** How NBD clients may use it now: off, open, tls or tls:IDENTITY,… */
  readonly nbd: string
  /** Ready to paste: iscsi://portal/iqn/lun and the like. */
  readonly uris: readonly string[]
  readonly sessions: number
  /** Who holds it now, and how they are. */
  readonly replication: ReplicasShown
  /** Where it lives and why. */
  readonly placement: readonly PlacementShown[]
}

/** The whole cluster in a few numbers. */
export interface ClusterOverview {
  readonly peers: number
  readonly peersUp: number
  readonly volumes: { readonly ok: number; readonly degraded: number; readonly waiting: number }
  readonly balanced: boolean
  readonly rangesToMove: number
  readonly metadata: 'current' | 'unreachable'
}

export interface Job {
  readonly id: string
  readonly kind: 'delete' | 'scrub'
  readonly subject: string
  readonly doneBytes: number
  readonly totalBytes: number
  readonly state: 'running' | 'done' | 'failed'
  readonly error: string | null
}

export interface NewVolume {
  readonly name: string
  readonly sizeBytes: number
  readonly blockSizeBytes?: 512 | 4096
  readonly replicas?: number
  readonly minReplicas?: number
  readonly readOnly?: boolean
  /** Initiators may eject and load it. */
  readonly removable?: boolean
  readonly allowDegraded?: boolean
  readonly limits?: LimitsChange
  /** A target of its own with LUN 0, unless false. */
  readonly target?: boolean
}

export interface VolumeChange {
  readonly readOnly?: boolean
  /** off, open, tls or tls:IDENTITY,… Open is refused while a target of the volume is guarded. */
  readonly nbd?: string
  /** More are copied, fewer are freed, while the volume is used. */
  readonly replicas?: number
  readonly minReplicas?: number
  /** Also with fewer failure domains than replicas. */
  readonly allowDegraded?: boolean
  readonly limits?: LimitsChange
}

/** What is not named stays; null and 0 take a limit away, and its burst with it. */
export type LimitsChange = Partial<VolumeLimits>

export interface ClusterEvent {
  readonly at: string
  readonly kind: string
  readonly subject: string
  readonly message: string
}

/**
 * Everything an operator can do, behind the REST API. Each call either takes effect in the metadata, durably,
 * or throws a HoldfastError that names the thing at fault. TARGET is an IQN, or what follows our colon.
 * CHAP secrets in the records that it answers are masked.
 */
export interface Control {
  createVolume(volume: NewVolume): Promise<VolumeShown>
  listVolumes(): Promise<VolumeShown[]>
  showVolume(name: string): Promise<VolumeShown>
  setVolume(name: string, change: VolumeChange): Promise<VolumeShown>
  resizeVolume(name: string, sizeBytes: number): Promise<VolumeShown>
  /** Rejects with ERR_VOLUME_BUSY while a client of this daemon or of another uses it, or that cannot be told. */
  refuseVolumeInUse(name: string): Promise<void>
  /** Refuses with ERR_VOLUME_BUSY while a session uses it, unless `force`, which ends those sessions. */
  deleteVolume(name: string, options: { force: boolean }): Promise<Job>

  /**
   * Lets an initiator at a volume, alone, with CHAP made for it, and answers how it gets there; again, the same.
   * `dialled` is our own `ip:port` on the connection that asks: it stands for portals on all addresses.
   */
  connect(volume: string, initiator: string, dialled: string): Promise<ConnectionProperties>
  /**
   * Takes that back and ends the initiator's sessions; resolves when none of its writes can reach the volume any
   * more. What is not there is no error.
   */
  disconnect(volume: string, initiator: string): Promise<void>

  listTargets(): Promise<TargetRecord[]>
  showTarget(target: string): Promise<TargetRecord>
  createTarget(target: string): Promise<TargetRecord>
  deleteTarget(target: string, options: { force: boolean }): Promise<void>
  addLun(target: string, lun: number, volume: string, options: { readOnly: boolean }): Promise<TargetRecord>
  removeLun(target: string, lun: number, options: { force: boolean }): Promise<TargetRecord>
  /** From the first entry on only entries may log in. The word `all` opens the target to everybody again. */
  addAcl(target: string, initiator: string): Promise<TargetRecord>
  /** Also ends the sessions of that initiator. */
  removeAcl(target: string, initiator: string): Promise<TargetRecord>
  setChap(target: string, chap: ChapChange): Promise<TargetRecord>
  clearChap(target: string, initiator: string | null): Promise<TargetRecord>
  setDiscoveryChap(chap: Omit<ChapChange, 'initiator'>): Promise<void>
  clearDiscoveryChap(): Promise<void>

  /** Of all daemons of the cluster. */
  listSessions(): Promise<SessionsShown>
  kickSession(id: string): Promise<void>
  listPeers(): Promise<PeerInfo[]>
  showPeer(id: string): Promise<PeerInfo>
  drainPeer(id: string): Promise<PeerInfo>
  undrainPeer(id: string): Promise<PeerInfo>
  /** Refuses with ERR_PEER_BUSY while it is up, or holds ranges and `force` is not given. */
  removePeer(id: string, options: { force: boolean }): Promise<void>
  overview(): Promise<ClusterOverview>
  /** Goes on without the bricks of these peers, whatever only they have. PROTOCOL rule 25. */
  recoverVolume(name: string, options: { off: readonly string[] }): Promise<VolumeShown>
  listEvents(limit: number): Promise<ClusterEvent[]>
  jobs(): Job[]
  startScrub(options: { bytesPerSecond?: number }): Promise<Job>
}

export interface ChapChange {
  readonly initiator?: string
  readonly user: string
  readonly secret: string
  readonly mutualUser?: string
  readonly mutualSecret?: string
}
