import type { VolumeExtents } from './brick.ts'

/** What a brick has persisted of a volume's place in the world. PROTOCOL rule 1. */
export interface ReplicaDescriptor {
  /** The highest epoch that was ever fenced for here. */
  readonly epoch: number
  readonly setVersion: number
  /** The one process that may have this epoch here; absent until the first fence. */
  readonly fencedBy?: string
}

/** A region as two members compare it. */
export interface RegionDigest {
  /** Generation of its last write or trim; STAMP_UNKNOWN counts as newest. 0: never written. */
  readonly stamp: number
  /** 128 bits over the checksum entries and zeroness of its 64 blocks: equal digests, equal contents. Hex. */
  readonly hash: string
}

/**
 * One volume on one brick, as replication needs it: the data path of VolumeExtents and what PROTOCOL.md asks a
 * replica to remember. A region is 256 KiB, a segment 4 MiB, both counted from the start of the volume.
 * All promises reject with the brick's failure, which is sticky.
 */
export interface ReplicaVolume extends VolumeExtents {
  readonly uuid: string
  readonly sizeBytes: number
  readonly descriptor: ReplicaDescriptor
  /** Durable when it resolves. Refuses (invariant) to lower either number. */
  persistDescriptor(descriptor: ReplicaDescriptor): Promise<void>

  /** Regions that have no space here yet get it, all of them or none: ok, noSpace, ioError. PROTOCOL rule 10. */
  reserve(offsetBytes: number, lengthBytes: number): Promise<number>

  /**
   * Set by an owner that has nobody else to ask: a block in doubt after an unclean stop that differs from its
   * checksum stands, and the checksum is recomputed when it is read. False at open: it is a mediumError, so that
   * another member is asked. PROTOCOL rule 11.
   */
  standsAlone: boolean

  /** Atomic writes that the redo journal held when the brick was opened: other members may not have them. */
  readonly atomicsAtOpen: readonly { readonly offsetBytes: number; readonly lengthBytes: number }[]

  /** Segments whose activity bit is set, in order. */
  activeSegments(): number[]
  /** Segments that were active when a cold brick was opened and have not been copied or settled since. */
  suspectSegments(): number[]
  /** Of these segments nothing is suspect or in doubt any more: they were reconciled with a good member. */
  trustSegments(segments: readonly number[]): Promise<void>
  /**
   * Regions with a stamp of at least `since` (unknown ones included), in order, from region `from` on. 0: every
   * region that may hold anything, whatever became of its stamp (full comparison). Waits for freeRanges() that came first.
   */
  regionsSince(since: number, from: number, atMost: number): Promise<number[]>
  /** Rule 12: stamps every region of every active segment with `generation`, in page cache when it resolves. */
  stampActive(generation: number): Promise<void>

  /** In suspect segments and those in doubt the data is read: a block that differs from its checksum equals nothing. */
  digestRegions(firstRegion: number, count: number): Promise<RegionDigest[]>
  /** Per block of the region its checksum entry (0 absent, 1 zero, else CRC32C moved out of the way). */
  blockEntries(region: number): Promise<Uint32Array>
  /**
   * Writes whole blocks that another member holds and takes `stamp`, where it is higher, for the region. As a write:
   * reserves, activates, in page cache when it resolves. `blocks` is the data; absent runs are given by trim().
   */
  copyIn(offsetBytes: number, lengthBytes: number, from: Buffer, at: number, stamp: number): Promise<number>
  trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<number>
  /** Raises the stamp of regions found equal to a survivor's. */
  raiseStamp(region: number, stamp: number): Promise<void>
  /** No member has what belongs into these blocks: reads of them end with mediumError until they are written. */
  markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<number>
  /** A block whose checksum does not hold is overwritten by the good copy, whatever its region's state. */
  repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<number>
  /** Gives back every slot of these ranges (4 GiB), after quarantine and durably. PROTOCOL rule 21. */
  freeRanges(ranges: readonly number[]): Promise<void>
}

/** One brick, as replication needs it. */
export interface ReplicaStore {
  /** The clock by which its segments are quiet. */
  nowMs(): number
  /** Segments that are active, of all volumes, while they are more than the target; else 0. PROTOCOL rule 11. */
  activeBeyondTarget(): number
  readonly uuid: string
  readonly openCounter: number
  readonly state: 'warm' | 'cold'
  readonly failure: Error | null
  /** Set by whoever may know a good copy: the scrub has found a block that differs from its checksum. */
  badBlockFound?: (volumeUuid: string, offsetBytes: number) => void
  /** Persists the descriptor before anything is held; idempotent. */
  createVolume(volume: {
    uuid: string
    sizeBytes: number
    epoch: number
    setVersion: number
  }): Promise<ReplicaVolume>
  growVolume(uuid: string, sizeBytes: number): Promise<void>
  deleteVolume(uuid: string): Promise<void>
  /** null: no descriptor, the answer to whoever asks is UNKNOWN. */
  volume(uuid: string): ReplicaVolume | null
  volumes(): readonly string[]
}
