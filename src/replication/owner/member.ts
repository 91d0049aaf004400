import { invariant } from '../../lib/invariant.ts'
import type { PeerLink } from '../peer-network.ts'
import type { Replica } from '../replica/replica.ts'
import type { VolumeReplica } from '../replica/volume-replica.ts'
import type { ReplicaStore } from '../replica-store.ts'

/** The brick of this process, which may get its replica of the volume only in the course of the epoch. */
export class LocalBrick {
  readonly store: ReplicaStore
  readonly #replicas: Replica
  readonly #volumeUuid: string
  #replica: VolumeReplica | null = null

  constructor(replicas: Replica, store: ReplicaStore, volumeUuid: string) {
    this.#replicas = replicas
    this.store = store
    this.#volumeUuid = volumeUuid
  }

  /** Only of a member that is fenced. */
  get replica(): VolumeReplica {
    this.#replica ??= this.#replicas.volume(this.#volumeUuid)
    invariant(this.#replica !== null, 'a fenced brick has a replica')
    return this.#replica
  }
}

/**
 * One brick of an owned volume, for the length of an epoch: this process's own or one behind a link. Whether it is
 * in the set of a range is the head's to say; here is what the owner knows of it.
 */
export class Member {
  readonly peerNumber: number
  brickUuid: string
  /** Exactly one of both is there. */
  readonly link: PeerLink | null
  readonly local: LocalBrick | null
  /** Fenced for this epoch: it may be sent operations. */
  fenced = false
  /** Process that was fenced: another one has forgotten what it promised. */
  incarnation = ''
  /** That it has persisted. */
  setVersion = 0
  /** It was told that there is nobody else to ask, since it was fenced. */
  standsAlone = false
  /** bootMs until which its grant is counted on. */
  grantedUntilMs = 0
  /** Counts what a flush would make durable; the first never assumes clean. PROTOCOL rule 14. */
  changes = 1
  /** `changes` at the beginning of the last flush that it acknowledged. */
  flushedChanges = 0
  /** bootMs of the moment it was last seen out of reach; null while it is in reach. */
  unreachableSinceMs: number | null = null

  constructor(peerNumber: number, brickUuid: string, link: PeerLink | null, local: LocalBrick | null) {
    this.peerNumber = peerNumber
    this.brickUuid = brickUuid
    this.link = link
    this.local = local
  }

  /** May it be sent operations of this epoch now? */
  get reachable(): boolean {
    if (!this.fenced) return false
    if (this.local !== null) return this.local.store.failure === null
    const { link } = this
    return link!.isUp && link!.identity?.incarnation === this.incarnation
  }

  /** It made durable what had been sent before its `changes` were these. */
  flushed(changes: number): void {
    if (changes > this.flushedChanges) this.flushedChanges = changes
  }

  /** Its process is another than the one that was fenced. */
  get restarted(): boolean {
    const identity = this.link?.identity ?? null
    return this.fenced && identity !== null && identity.incarnation !== this.incarnation
  }
}
