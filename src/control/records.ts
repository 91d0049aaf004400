import type { VolumeLimits } from '../volume/throttle/volume-limits.ts'
import type { ResyncShown } from './resync-view.ts'

/** What the metadata holds and what the API shows. Sizes are bytes, times ISO 8601. */
export interface VolumeRecord {
  readonly name: string
  readonly uuid: string
  readonly sizeBytes: number
  readonly blockSizeBytes: 512 | 4096
  readonly replicas: number
  readonly minReplicas: number
  /** What it becomes once so many are in sync; null when it is that. */
  readonly minReplicasWanted: number | null
  readonly readOnly: boolean
  readonly removable: boolean
  /** 32 lower-case hex digits. */
  readonly naa: string
  readonly limits: VolumeLimits
  readonly createdAt: string
  /** A volume being deleted is refused to everybody, and the deletion is finished after a restart. */
  readonly state: 'ready' | 'deleting'
  readonly epoch: number
  readonly generation: number
  readonly setVersion: number
}

export interface ChapRecord {
  readonly user: string
  readonly secret: string
  readonly mutualUser?: string
  readonly mutualSecret?: string
  /** Made for a connection, and goes with it. */
  readonly generated?: boolean
}

export interface LunRecord {
  readonly lun: number
  readonly volume: string
  readonly readOnly: boolean
}

export interface TargetRecord {
  readonly iqn: string
  readonly luns: readonly LunRecord[]
  /** True until the first ACL entry: taking the last entry away must not let everybody in. */
  readonly openToAll: boolean
  /** iSCSI names of initiators, in lower case. */
  readonly acl: readonly string[]
  readonly chap: ChapRecord | null
  /** Overrides `chap` for single initiators. */
  readonly chapByInitiator: Readonly<Record<string, ChapRecord>>
  readonly createdAt: string
}

export type { SessionInfo } from '../lib/session-info.ts'

export interface PeerInfo {
  readonly id: string
  /** The peer's small number: target portal group tag and relative port id. */
  readonly number: number
  /** iSCSI portals. */
  readonly addresses: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly state: 'up' | 'down' | 'draining'
  readonly capacityBytes: number
  /** Unknown (0) while the peer is down. */
  readonly usedBytes: number
  /** Where other daemons reach it; null while it is down, or alone. */
  readonly peerAddress: string | null
  /** Uuid; null while the peer is down. */
  readonly brick: string | null
  /** 4 GiB ranges that are placed there. */
  readonly ranges: number
  readonly startedAt: string | null
  /** Null when it has been down since before this daemon started. */
  readonly lastSeenAt: string | null
  /** Of its brick; null while nothing is copied to it. */
  readonly resync: ResyncShown | null
}
