import type { MetadataStore } from '../../metadata/metadata-store.ts'
import type { PeerNetwork } from '../peer-network.ts'
import type { Replica } from '../replica/replica.ts'
import type { ReplicaStore } from '../replica-store.ts'
import type { PeerName, ReplicationConfig, ReplicationLog, TellEvent, VolumeServer } from '../replication.ts'
import type { CopyBudget, CopyPlanner } from '../resync/resync-ports.ts'
import type { Timers } from '../timers.ts'
import type { Links } from './links.ts'
import type { Orders } from './orders.ts'
import type { RejoinDamping } from './rejoin-damping.ts'

export interface OwnerCounters {
  takeovers: number
  ejections: number
  regionsReconciled: number
  blocksRepaired: number
}

/** What the volumes that one daemon owns have in common. */
export interface OwnerNode {
  readonly network: PeerNetwork
  readonly store: ReplicaStore
  readonly metadata: MetadataStore
  readonly timers: Timers
  readonly replica: Replica
  readonly links: Links
  readonly orders: Orders
  readonly server: VolumeServer
  readonly config: ReplicationConfig
  readonly log: ReplicationLog
  readonly tellEvent: TellEvent
  readonly peerName: PeerName
  readonly counters: OwnerCounters
  readonly damping: RejoinDamping
  readonly planner: CopyPlanner
  readonly budget: CopyBudget
  /** bootMs of the last moment at which the metadata answered. */
  metadataAnsweredMs(): number
}
