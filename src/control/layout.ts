import { HoldfastError } from '../errors/holdfast-error.ts'
import type { VolumeLimits } from '../volume/throttle/volume-limits.ts'
import type { ClusterEvent } from './control.ts'
import type { NbdAccess } from './nbd-access.ts'
import type { ChapRecord, TargetRecord } from './records.ts'

/** Layout 1 of the metadata: every key and what its value holds. docs/design/002-metadata-layout.md. */
export const LAYOUT_VERSION = 1

/** A range is the unit of placement, 64 extents; a page holds the placement of 64 ranges. */
export const RANGE_BYTES = 4 * 2 ** 30
export const RANGES_PER_PAGE = 64

export function rangesOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / RANGE_BYTES)
}

export const keys = {
  cluster: 'cluster',
  discoveryChap: 'auth/discovery',
  volumes: 'v/',
  targets: 't/',
  peers: 'p/',
  gonePeers: 'g/',
  registrations: 'u/',
  events: 'e/',
  volume: (name: string) => `v/${name}/`,
  head: (name: string) => `v/${name}/h`,
  pages: (name: string) => `v/${name}/r/`,
  /** Eight hex digits, so that pages sort by number. */
  page: (name: string, page: number) => `v/${name}/r/${page.toString(16).padStart(8, '0')}`,
  reservations: (name: string) => `v/${name}/pr`,
  sanitize: (name: string) => `v/${name}/sz`,
  owner: (name: string) => `v/${name}/o`,
  target: (iqn: string) => `t/${iqn}`,
  peer: (id: string) => `p/${id}`,
  gonePeer: (id: string) => `g/${id}`,
  registration: (id: string) => `u/${id}`,
  /** Number of the last attempt of a process to change something: metadata/settled-store.ts. */
  attempt: (id: string) => `x/${id}`,
  brick: (uuid: string) => `b/${uuid}`,
  /** By the peer's small number. */
  leftovers: (peerNumber: number) => `d/${peerNumber}/`,
  leftover: (peerNumber: number, volumeUuid: string) => `d/${peerNumber}/${volumeUuid}`,
  event: (id: string) => `e/${id}`,
} as const

/** A brick that left the in-sync sets of a volume. PROTOCOL.md "Layout in etcd". */
export interface OutBrick {
  readonly uuid: string
  /** Generation that its removal began. */
  readonly since: number
  /** Hex, one bit per range, lowest first: still in sync there. */
  readonly inSync: string
}

/** Of OutBrick.inSync: hex of bytes, range 0 in the lowest bit of the first byte. */
export function isInSync({ inSync }: OutBrick, range: number): boolean {
  const at = (range >> 3) * 2
  const byte = Number.parseInt(inSync.slice(at, at + 2) || '0', 16)
  return ((byte >> (range & 7)) & 1) === 1
}

/** v/<vol>/h: the one compare-and-set unit of a volume. */
export interface VolumeHead {
  readonly uuid: string
  readonly state: 'creating' | 'ready' | 'deleting'
  readonly epoch: number
  readonly replicas: number
  readonly minReplicas: number
  /** What minReplicas becomes once every range has so many in sync; absent when it is that already. */
  readonly minReplicasWanted?: number
  /** M before it fell, until an owner has seen to it that nobody reads by that any more. Absent: nobody can. */
  readonly minReplicasBefore?: number
  readonly generation: number
  readonly setVersion: number
  readonly lossGeneration: number
  /** What is under way, and the peer that finishes or undoes it after its restart. */
  readonly pending: { readonly kind: 'create' | 'delete'; readonly by: string } | null
  readonly out: readonly OutBrick[]
  readonly sizeBytes: number
  readonly blockSizeBytes: 512 | 4096
  readonly readOnly: boolean
  readonly removable: boolean
  readonly naa: string
  readonly createdAt: string
  /** Absent: none. */
  readonly limits?: VolumeLimits
  /** Absent: open unless a target of the volume is guarded. */
  readonly nbd?: NbdAccess
  /** Rises whenever an initiator loses its right to the volume; absent: 0. PROTOCOL rule 17. */
  readonly rightsVersion?: number
}

/**
 * How many of a set of `members` a new owner has to fence: any that are so many include one of those whose grants a former
 * owner needs to read, also where that one has not heard yet that M has fallen. PROTOCOL rules 4 and 7.
 */
export function fencesNeeded(
  head: Pick<VolumeHead, 'minReplicas' | 'minReplicasBefore'>,
  members: number,
): number {
  return Math.max(head.minReplicas, Math.min(head.minReplicasBefore ?? 0, members))
}

/** v/<vol>/r/<page>: per range the small numbers of the peers that hold it, R of them, one more during a move. */
export interface PlacementPage {
  readonly ranges: readonly (readonly number[])[]
}

/** v/<vol>/o, leased: liveness only; authority is the epoch and the replicas' grants. */
export interface OwnerValue {
  readonly peer: string
  readonly number: number
  readonly epoch: number
  readonly incarnation: string
}

/** t/<iqn> */
export type TargetValue = Omit<TargetRecord, 'iqn'>

/** p/<id>, permanent: what is known of a peer that is away, too. */
export interface PeerValue {
  readonly number: number
  /** iSCSI portals. */
  readonly addresses: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** What its brick may hold; unknown before its first start. */
  readonly capacityBytes?: number
  /** Its ranges are being moved away, and it gets no new ones. */
  readonly draining?: boolean
  /** It was removed and let in again: until a brick of it has checked in, one may be made where there is none. */
  readonly newBrick?: boolean
  /** The only one that it may have; absent unless it has ever been let in again. */
  readonly brick?: string
}

/** g/<id>: one that was removed. What bears its number, or its bricks, is known as its own as long as it is anywhere. */
export interface GonePeerValue {
  readonly number: number
  /** As in PeerValue. */
  readonly brick?: string
}

/** u/<id>, leased: there while the peer's process is alive and makes progress. */
export interface RegistrationValue {
  readonly number: number
  /** Of the process: random at each start. */
  readonly incarnation: string
  readonly bootId: string
  readonly brick: string
  readonly openCounter: number
  readonly capacityBytes: number
  readonly usedBytes: number
  /** A write or an fsync failed: the brick has left service, and the daemon goes on. Absent: it is well. */
  readonly brickFailed?: boolean
  /** HOST:PORT for other daemons. */
  readonly peerAddress: string
  readonly portals: readonly string[]
  readonly nbd: readonly string[]
  readonly formats: { readonly brick: number; readonly wire: readonly [oldest: number, newest: number] }
  readonly startedAt: string
  /** Absent while nothing is copied. */
  readonly copies?: readonly CopyValue[]
}

/** What a volume's owner brings to one brick now. */
export interface CopyValue {
  readonly volumeUuid: string
  /** Small number of the peer that gets it. */
  readonly to: number
  /** Regions of 256 KiB; 0 of 0 until it is known what is missing. */
  readonly regionsDone: number
  readonly regionsTotal: number
  readonly bytesPerSecond: number
  /** Null while nothing can be said. */
  readonly etaSeconds: number | null
}

/** cluster */
export interface ClusterValue {
  readonly layout: number
  readonly id: string
  readonly createdAt: string
  readonly nextPeerNumber: number
  /** SHA-256 of the token that joining needs, hex; absent in a cluster of one data directory. */
  readonly tokenHash?: string
}

/** b/<uuid> */
export interface BrickValue {
  readonly peer: string
  readonly openCounter: number
}

/** d/<peer>/<volume uuid>: what the peer, which did not answer when the volume was deleted, has yet to delete. */
export interface LeftoverValue {
  /** What the volume was called. */
  readonly name: string
}

/** e/<id>; the ids sort by time. */
export type EventValue = ClusterEvent

/** Kinds of values with their versions and types. A version is raised when an older reader would misread. */
export interface Values {
  cluster: ClusterValue
  volume: VolumeHead
  placement: PlacementPage
  owner: OwnerValue
  target: TargetValue
  chap: ChapRecord
  peer: PeerValue
  gonePeer: GonePeerValue
  registration: RegistrationValue
  brick: BrickValue
  leftover: LeftoverValue
  event: EventValue
}
export type Kind = keyof Values

const VERSIONS: Record<Kind, number> = {
  cluster: 1,
  volume: 1,
  placement: 1,
  owner: 1,
  target: 1,
  chap: 1,
  peer: 1,
  gonePeer: 1,
  registration: 1,
  brick: 1,
  leftover: 1,
  event: 1,
}
const MAGIC = 'holdfast'

/** A line `holdfast KIND VERSION`, then JSON: magic and version are the first bytes, and etcdctl shows it. */
export function encodeValue<K extends Kind>(kind: K, value: Values[K]): Buffer {
  return Buffer.from(`${MAGIC} ${kind} ${VERSIONS[kind]}\n${JSON.stringify(value)}`)
}

/** Throws ERR_METADATA_FORMAT, naming the key, for another magic or kind, a newer version and broken JSON. */
export function decodeValue<K extends Kind>(kind: K, key: string, bytes: Buffer): Values[K] {
  const end = bytes.indexOf(0x0a)
  const [magic, found, version] = bytes.toString('utf8', 0, Math.max(0, end)).split(' ')
  if (magic !== MAGIC || found !== kind) {
    throw new HoldfastError(
      'ERR_METADATA_FORMAT',
      `metadata key '${key}' does not hold a ${kind} of Holdfast`,
    )
  }
  if (Number(version) !== VERSIONS[kind]) {
    throw new HoldfastError(
      'ERR_METADATA_FORMAT',
      `metadata key '${key}' has format ${version}, this version knows ${VERSIONS[kind]}: use a newer holdfast`,
    )
  }
  try {
    return JSON.parse(bytes.toString('utf8', end + 1)) as Values[K]
  } catch (error) {
    throw new HoldfastError('ERR_METADATA_FORMAT', `metadata key '${key}' is damaged`, { cause: error })
  }
}
