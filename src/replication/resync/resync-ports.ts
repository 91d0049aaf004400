import type { BlockStatus } from '../../block/block-status.ts'
import type { RegionDigest } from '../replica-store.ts'

/**
 * One member's or joiner's brick as the copying sees it: the owner's own, or one behind a link. Every call carries
 * epoch and setVersion of the owner. All reject once the member cannot be reached, refuses, or has failed: the
 * copying then ends and is begun anew later. Regions and segments are counted from the start of the volume.
 */
export interface MemberPort {
  readonly peerNumber: number
  readonly brickUuid: string
  /** The process that was fenced last. */
  readonly incarnation: string
  /** As ReplicaVolume's, and so the others of these names. */
  regionsSince(since: number, from: number, atMost: number): Promise<readonly number[]>
  activeSegments(): Promise<readonly number[]>
  suspectSegments(): Promise<readonly number[]>
  digestRegions(firstRegion: number, count: number): Promise<readonly RegionDigest[]>
  blockEntries(region: number): Promise<Uint32Array>
  /** Verified: mediumError when some block does not hold, then offset of the first one. */
  read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): Promise<MemberRead>

  copyIn(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<BlockStatus>
  trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus>
  markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus>
  /** `stamps[i]` for `regions[i]`. */
  raiseStamps(regions: readonly number[], stamps: readonly number[]): Promise<void>
  trustSegments(segments: readonly number[]): Promise<void>
  /** fdatasync. Rejects when it fails. */
  flush(): Promise<void>
  /** Rule 21: this brick is not placed on these ranges any more, by the setVersion that the order carries. */
  freeRanges(ranges: readonly number[]): Promise<void>
}

export interface MemberRead {
  readonly status: BlockStatus
  readonly failedAtBytes: number
}

/**
 * What a joiner must be sent of what clients do meanwhile; asked by the write path when the operation holds its
 * blocks, without an allocation. Rule 13: not for regions still to be copied, else always. One that is being copied
 * is held, so that nobody asks. An operation over both is sent: it harms nothing that the copying will look at.
 */
export interface JoinGate {
  readonly peerNumber: number
  wantsWrite(offsetBytes: number, lengthBytes: number): boolean
  /** Flushes go to the joiner too, from before the fdatasync that its joining rests on. */
  readonly wantsFlush: boolean
  /**
   * The joiner did not carry out what it was sent, or its link is gone. The gate is off when this returns; nobody
   * waits for the joiner any more, unless a join transaction of unknown outcome is under way.
   */
  failed(reason: string): void
}

/**
 * One in-sync set change that copying has earned. The owner compares, writes, and reads back: rule 8. The gate of
 * the one that joins is off in the turn in which it becomes a member.
 */
export interface EarnedChange {
  readonly ranges: readonly number[]
  /** Becomes in sync in `ranges`; placed there if it is not yet. null for a fall of R. */
  readonly joins: number | null
  /** Is placed there no more, in the same transaction (rule 21); null for a return or a rise of R. */
  readonly leaves: number | null
}

/** What the copying asks of the owner of a volume. One per volume and epoch. */
export interface ResyncOwner {
  readonly volumeUuid: string
  readonly sizeBytes: number
  /** Of which the placement is known here: those of a growth count from the turn in which they are served. */
  readonly ranges: number
  readonly epoch: number
  /** That writes are stamped with now. */
  readonly generation: number
  /** The epoch is over: nothing more is ordered, every wait ends. */
  readonly ended: boolean
  /**
   * Its members are fenced and one of them is warm. Who joined before would be one that nobody fences as a member, and
   * what it was made like may have to be given up yet. PROTOCOL rule 7.
   */
  isServed(range: number): boolean
  /** Who is placed on served ranges in which it is not in sync. */
  outMembers(): readonly OutMember[]
  /**
   * Fences a brick that need not be placed on the volume any more. null when it holds nothing but what it is placed on.
   * Rejects when it cannot be asked now.
   */
  leftBehind(peerNumber: number): Promise<MemberPort | null>
  /** Whether a peer is placed on a range now, in sync or not. */
  isPlaced(peerNumber: number, range: number): boolean
  /** S(r) now, the nearest first (the owner's own brick, where it is one of them). */
  members(range: number): readonly MemberPort[]

  /**
   * Fences the brick of this peer for the epoch, before anything is asked of it (rule 13); gives it a descriptor if
   * it has none. Rejects while it cannot be reached, or is what rule 1 stops.
   */
  fence(peerNumber: number): Promise<FencedJoiner>
  /** From now on the write path asks the gate; null takes it off. At most one per peer. */
  setGate(peerNumber: number, gate: JoinGate | null): void
  /** Resolves when every operation that has begun before this call has ended. */
  begunOperationsEnded(): Promise<void>
  /** Block locks over this range, exclusive: resolves when nothing else holds any of them. */
  hold(offsetBytes: number, lengthBytes: number): Promise<HeldBlocks>
  /**
   * False when it was refused, and known to be: nothing has changed then. Rejects with the end of the epoch. Changes
   * wait for one another: `stillEarned` is asked when its turn has come.
   */
  change(change: EarnedChange, stillEarned?: () => boolean): Promise<boolean>
}

export interface FencedJoiner {
  readonly port: MemberPort
  /** It had no descriptor: nothing that is known of its past holds for what it has now. */
  readonly isNew: boolean
}

/** A brick that is out of the in-sync sets of some of the ranges it is placed on. */
export interface OutMember {
  readonly peerNumber: number
  /** Generation that its removal began; 0 for full comparison. */
  readonly since: number
  readonly ranges: readonly number[]
  /** Its link is up. */
  readonly answers: boolean
  /** For how long it has not answered, or its brick has been known to have failed; 0 while it is well. */
  readonly awayMs: number
  /** bootMs before which it is not to come back: damping of rule 22. */
  readonly notBeforeMs: number
}

/** Where copies shall be besides: what drains, rebalancing and changes of R have come to. */
export interface CopyPlanner {
  /** Changes of placement that are wanted for this volume now, the most urgent first. */
  wanted(volumeUuid: string): readonly WantedChange[]
  /**
   * Who takes the place of a brick that has been gone for too long; null when nobody may: too many peers are away,
   * or too little space is left (rule 21).
   */
  substitute(volumeUuid: string, range: number, gone: number): number | null
  /** No brick that is so full, or has failed, gets ranges that it is not placed on. */
  isFull(peerNumber: number): boolean
}

export interface WantedChange {
  readonly range: number
  /** null where R falls. */
  readonly joins: number | null
  /** null where R rises. */
  readonly leaves: number | null
}

export interface HeldBlocks {
  release(): void
}

/** Bandwidth that all copying of a daemon shares. */
export interface CopyBudget {
  /** Resolves when so many bytes may be moved. */
  take(bytes: number): Promise<void>
}

export type CopyKind = 'resync' | 'move' | 'recreate'

/** For peer list, status and metrics. */
export interface CopyProgress {
  readonly volumeUuid: string
  readonly kind: CopyKind
  readonly joins: number
  readonly leaves: number | null
  readonly ranges: number
  readonly regionsDone: number
  /** 0 until the copy set is known. */
  readonly regionsTotal: number
  readonly copiedBytes: number
  readonly bytesPerSecond: number
  /** null while nothing can be said. */
  readonly etaMs: number | null
}
