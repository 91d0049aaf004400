import type { OwnerValue, VolumeHead } from '../control/layout.ts'
import type { Compare, MetadataStore } from '../metadata/metadata-store.ts'
import type { VolumeExtents } from '../store/brick.ts'
import type { OperationQueue } from '../volume/operation-queue.ts'
import type { DescribeAnswer } from './messages.ts'
import type { LoggedOperation, OperationFate } from './operation-log.ts'
import type { PeerNetwork, PeerRequestHandler } from './peer-network.ts'
import type { ReplicaStore } from './replica-store.ts'
import type { CopyBudget, CopyPlanner, CopyProgress } from './resync/resync-ports.ts'
import type { Timers } from './timers.ts'

/** A volume that this daemon owns, for the length of one epoch. */
export interface OwnedHere {
  readonly name: string
  readonly uuid: string
  readonly epoch: number
  /** As last read or written by this owner; `VolumeServer.changed` follows each change. */
  readonly head: VolumeHead
  /** That clients may use: a larger one in the head follows once all members have room for it. */
  readonly sizeBytes: number
  /** Refuses everything with unavailable once the epoch has ended. */
  readonly extents: VolumeExtents
  /** The block locks of this epoch, given to OwnedVolume: reconcile, resync and repair hold regions in it. */
  readonly queue: OperationQueue
  readonly ended: boolean
  /** What became of an operation that was in doubt when this epoch began. PROTOCOL rule 18. */
  fate(operation: LoggedOperation): OperationFate
  /**
   * What a transaction on state of this volume must compare, so that it fails once another epoch has begun.
   * PROTOCOL rule 19. Throws ERR_BLOCK_UNAVAILABLE when the epoch has ended already.
   */
  stillOwned(): Compare[]
}

/** What a daemon does with the volumes it comes to own: OwnedVolume, its reservations, its clients' streams. */
export interface VolumeServer {
  /** All that must be fenced is; nothing of a client is served before this resolves. A rejection releases. */
  begin(volume: OwnedHere): Promise<void>
  /** The head changed: size, write protection, replicas, the sets. */
  changed(volume: OwnedHere): void
  /** Acknowledged unflushed writes may be gone; clients hear of it before their next flush. PROTOCOL rule 16. */
  lost(volume: OwnedHere, lossGeneration: number): void
  /** The epoch is over, `extents` refuses already. Resolves when nothing of the volume is served any more. */
  end(volume: OwnedHere): Promise<void>
}

/** The lease of this process, kept alive by whoever made it; null while there is none. */
export interface LeaseSource {
  current(): bigint | null
}

export interface ReplicationLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Enters the event log of the cluster, in its own time: volume.takeover, replica.left, replica.joined ... */
export type TellEvent = (kind: string, subject: string, message: string) => void

/** What people call the peer of a small number, for what they read. */
export type PeerName = (peerNumber: number) => string

export interface ReplicationConfig {
  /** A member with an unacknowledged operation, or no connection, for longer leaves. PROTOCOL rule 22. */
  readonly ejectAfterMs: number
  /** How long a set of which only cold members answer waits for a warm one. PROTOCOL rule 16. */
  readonly coldWaitMs: number
  /** How long an owner goes on without etcd. PROTOCOL rule 24. */
  readonly etcdGraceMs: number
  /** A brick that does not answer for longer is taken for lost, and its copies are made anew elsewhere. PROTOCOL rule 21. */
  readonly recreateAfterMs: number
}

export const REPLICATION_DEFAULTS: ReplicationConfig = {
  ejectAfterMs: 1_000,
  coldWaitMs: 60_000,
  etcdGraceMs: 900_000,
  recreateAfterMs: 600_000,
}

export interface ReplicationOptions {
  /** Its `self` names this peer and its brick. serve() is the caller's: handler below is given to it. */
  readonly network: PeerNetwork
  readonly store: ReplicaStore
  readonly metadata: MetadataStore
  readonly timers: Timers
  readonly lease: LeaseSource
  readonly randomBytes: (length: number) => Buffer
  readonly server: VolumeServer
  readonly log: ReplicationLog
  readonly tellEvent: TellEvent
  /** The number itself unless given. */
  readonly peerName?: PeerName
  readonly config?: Partial<ReplicationConfig>
  /** Drains, rebalancing, changes of R; without it only bricks that are out come back. */
  readonly planner?: CopyPlanner
  /** Without it copying is as fast as it gets. */
  readonly budget?: CopyBudget
  /** A brick that volumes owned here lie on has more active segments than it wants: some should be cleared. */
  readonly aboveActiveTarget?: (activeSegments: number) => void
}

/** A volume on the bricks of the peers it was placed on. */
export interface ReplicatedVolume {
  readonly uuid: string
  readonly sizeBytes: number
  readonly epoch: number
  readonly setVersion: number
  /** Small numbers; this peer's own included where it is one of them. */
  readonly peers: readonly number[]
}

export interface OwnedStatistics {
  readonly name: string
  readonly uuid: string
  readonly epoch: number
  /** Small numbers of the peers that are in the in-sync set of every range placed on them. */
  readonly inSync: readonly number[]
  readonly out: readonly number[]
  /** Ranges that cannot be served: fewer than M members answer. */
  readonly rangesWaiting: number
  readonly regionsToReconcile: number
  readonly operationsInFlight: number
  /** bootMs until which reads of every range are authorised. */
  readonly readableUntilMs: number
  /** The resync or move under way. */
  readonly copy: CopyProgress | null
}

export interface ReplicationStatistics {
  readonly owned: readonly OwnedStatistics[]
  readonly takeovers: number
  readonly ejections: number
  readonly fencesAnswered: number
  readonly staleRefused: number
  readonly regionsReconciled: number
  readonly blocksRepaired: number
}

/** The replication of one daemon: its replicas, the volumes it owns, and who owns the others. */
export interface Replication extends AsyncDisposable {
  /** For PeerNetwork.serve(), as it is or behind one that takes `forward` and the gateways' control requests out. */
  readonly handler: PeerRequestHandler
  /** Reads the volumes and watches them; from then on this daemon follows and may own. */
  start(): Promise<void>

  /** Who owns a volume now, as far as the watch has told; null when nobody does. */
  owner(name: string): OwnerValue | null
  /** Called after owner() of a volume has changed; the answer takes the listener off. */
  onOwnerChange(listener: (name: string) => void): () => void
  owned(name: string): OwnedHere | null
  /** Clients of the volume are here: own it when nobody does, even without a replica of it. */
  want(name: string): void
  unwant(name: string): void
  /** A planned end of ownership: what is in flight ends first; the others are told. PROTOCOL rule 6. */
  release(name: string): Promise<void>
  /** While true, this daemon comes to own only what nobody else takes. */
  stepBack(back: boolean): void
  /** Lets go of everything and owns nothing from then on: a daemon that stops. */
  retire(): Promise<void>

  /** Descriptors on all peers of a new volume; rejects unless each is durable. Idempotent. */
  createVolume(volume: ReplicatedVolume): Promise<void>
  /** Room on all peers that answer; the others are told when they are fenced. */
  growVolume(volume: ReplicatedVolume): Promise<void>
  /** The highest that any of its peers that answer knows. PROTOCOL rule 25. */
  highestKnown(volume: ReplicatedVolume): Promise<DescribeAnswer>
  /** On all peers that answer; resolves with the small numbers of those that did not. */
  deleteVolume(volume: ReplicatedVolume): Promise<readonly number[]>

  statistics(): ReplicationStatistics
}
