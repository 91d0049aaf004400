import type { ScsiTarget } from '../scsi/scsi-target.ts'
import type { Volume } from '../volume/volume.ts'
import type { SessionInfo, VolumeRecord } from './records.ts'

/** Whoever has sessions of clients: the iSCSI target, the NBD server. */
export interface SessionSource {
  /** Of both kinds; `SessionInfo.id` is unique among all sources (the protocol is part of it). */
  sessions(): readonly SessionInfo[]
  /**
   * Ends the session; resolves when nothing that it has written can reach the volume any more. False when there is
   * none of this id here. `reason` goes to the log.
   */
  kick(id: string, reason: string): boolean | Promise<boolean>
}

/** What control asks of the other daemons of the cluster. */
export interface OtherDaemons {
  /** Of those that are up, by the name of the peer. `silent`: those that do not say in time. */
  sessions(): Promise<{
    readonly ofPeers: ReadonlyMap<string, readonly SessionInfo[]>
    readonly silent: readonly string[]
  }>
  /** What bricks of other daemons hold, by the uuid of the volume; of daemons that say so in time. */
  usedOnBricks(): Promise<ReadonlyMap<string, readonly number[]>>
  /**
   * As Sessions.kickOne, at the daemon of that peer. Rejects with ERR_SESSION_NOT_FOUND when there is no such daemon,
   * with ERR_BLOCK_UNAVAILABLE when it does not answer.
   */
  kick(peer: string, id: string, reason: string): Promise<string | null>
}

/** A volume that this daemon serves, and what control may do to it. */
export interface ServedVolume extends Volume {
  /** False while it has no owner that answers: logins are told to come again. Absent: always true. */
  readonly isServing?: boolean
  /**
   * Names of the clients that have it open at other gateways. Rejects with ERR_BLOCK_UNAVAILABLE when one that is up
   * does not answer. Absent: there are no others.
   */
  usersElsewhere?(): Promise<readonly string[]>
  /**
   * Nothing that the initiator writes has an effect any more once this resolves, by whatever gateway it comes, until
   * that gateway has heard of `rightsVersion`. Rejects with ERR_BLOCK_UNAVAILABLE when the owner cannot be reached.
   * Absent: nobody writes but through this daemon.
   */
  fence?(initiator: string, rightsVersion: number): Promise<void>
  /** Takes over what may have changed in a record and tells its onChange listeners; nothing when nothing has. */
  apply(record: VolumeRecord): void
  /** Waits for what is in flight, flushes, and lets go. Everything is refused from the call on. */
  close(): Promise<void>
}

/** How far a volume has come, as somebody knows. */
export interface KnownEpoch {
  readonly epoch: number
  readonly setVersion: number
}

/** Where the data of volumes lives. All calls are idempotent: control repeats them after a crash. */
export interface VolumeHost {
  /** Makes the descriptors durable. Called once per volume before anybody may see it. */
  createVolume(record: VolumeRecord): Promise<void>
  openVolume(record: VolumeRecord): Promise<ServedVolume>
  /**
   * Makes the descriptors durable on peers, by their small numbers, that have none yet: ranges by which the volume is to
   * grow are placed on them. Rejects with ERR_REPLICAS_UNAVAILABLE when one of them cannot be reached.
   */
  addReplicas(record: VolumeRecord, peers: readonly number[]): Promise<void>
  /** Makes room up to `record.sizeBytes` if it is not there; apply() or openVolume() follows. */
  growVolume(record: VolumeRecord): Promise<void>
  /** Gives all space back; no such volume here counts as done. The served one has been closed before. */
  deleteVolume(record: VolumeRecord, progress: (freedBytes: number) => void): Promise<void>
  /**
   * The highest that replicas which can be reached know of this volume: more than the record says where the metadata were
   * rolled back. Absent: there are no others.
   */
  highestKnown?(record: VolumeRecord): Promise<KnownEpoch>
  /** Bytes that hold data of this volume, of each brick here that knows it. */
  usedOnBricks(uuid: string): readonly number[]
}

export interface ServedLun {
  readonly volume: Volume
  readonly readOnly: boolean
}

/** A SCSI target device with a LUN map that changes while initiators are logged in. */
export interface ServedTarget extends ScsiTarget {
  /**
   * The whole new map. Units that stay (same volume and access) are not disturbed; the others go and come, and
   * initiators hear REPORTED LUNS DATA HAS CHANGED. Resolves when nothing of a removed unit is in flight.
   */
  setUnits(luns: ReadonlyMap<number, ServedLun>): Promise<void>
}

export type TargetFactory = (iqn: string) => ServedTarget

/** An iSCSI listener that is up. `address` is `ip:port` or `[ip6]:port`, a wildcard ip included. */
export interface Portal {
  /** As in PortalContact.listener. */
  readonly listener: number
  readonly address: string
  /** --advertise-iscsi of this listener, or null. */
  readonly advertised: string | null
}

/** An NBD listener that is up; `address` is a path when it is a Unix socket. */
export interface NbdPortal extends Portal {
  readonly unix: boolean
  readonly tls: 'off' | 'optional' | 'required'
}

/** What control shows and asks of the brick here; a Brick has this shape. */
export interface BrickStatus {
  readonly capacity: { readonly limitBytes: number; readonly usedBytes: number }
  startScrub(options?: { bytesPerSecond?: number }): void
  readonly scrub: {
    readonly checkedBytes: number
    readonly totalBytes: number
    readonly badBlocks: number
    readonly endedAtMs: number | null
  } | null
}

/** The part of a pino logger that control uses. */
export interface Log {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
