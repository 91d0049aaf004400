import type { BlockExtent } from '../block/block-device.ts'
import type { BlockOperation } from '../block/block-operation.ts'
import type { BlockStatus } from '../block/block-status.ts'
import type { ReplicaStore } from './replica-store.ts'

/**
 * One volume's extents on one brick. Offsets and lengths are multiples of 4096 (read-modify-write of smaller
 * pieces happens once, at the volume's owner). Ordering of overlapping operations is the caller's: it never
 * lets them fly together. The same object serves the local owner and, over the wire, a remote one.
 */
export interface VolumeExtents {
  /** As BlockDevice's: inline, from and to the page cache, never waiting for a disk. */
  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus
  /** wouldBlock when a slot, an activation, a stamp page, a checksum page or room under the dirty cap is missing. */
  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    /** CRC32C of each block of it, from 0 on, where the caller has them. */
    checksums?: Uint32Array | null,
    /** As BlockOperation's; 0: of no client's stream. */
    stream?: number,
    sequence?: number,
  ): BlockStatus
  readonly failedAtBytes: number
  /** Kinds read, write, writeAtomic, trim, zero and flush. Once submitted it is applied; there is no taking back. */
  submit(operation: BlockOperation): void
  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]>
  /** Space that this volume takes here: 256 KiB per touched region, minus what trims gave back. */
  readonly usedBytes: number

  /** The volume's generation: every stamp written from now on carries it (PROTOCOL rule 11). Never falls. */
  generation: number
  /** Segments (4 MiB, by index in the volume) that have been active and unwritten since `quietSinceMs`. */
  quietSegments(quietSinceMs: number, atMost: number): number[]
  /**
   * Makes data, checksums and stamps of these segments durable, then marks them clean. Only on the owner's
   * order, with no operation in flight in them. A segment written meanwhile stays active.
   */
  clearSegments(segments: readonly number[]): Promise<void>
}

export interface BrickCapacity {
  /** What this brick may use: --capacity, else the size of its file system. */
  readonly limitBytes: number
  /** Reserved for data: 256 KiB per touched region, minus what trims gave back. */
  readonly usedBytes: number
  /** Above this the brick warns (soft limit). */
  readonly warnAtBytes: number
  readonly dirtyBytes: number
  readonly dirtyCapBytes: number
}

export interface WatchedCapacity extends BrickCapacity {
  /** `listener` is called whenever `usedBytes` has changed by about 1/256 of the limit; the answer takes it off. */
  watch(listener: () => void): () => void
}

export interface ScrubProgress {
  readonly checkedBytes: number
  readonly totalBytes: number
  readonly badBlocks: number
  /** Blocks in doubt after an unclean stop whose checksum was recomputed. */
  readonly settledBlocks: number
  readonly startedAtMs: number
  readonly endedAtMs: number | null
}

export interface BrickCounters {
  checksumErrors: number
  flushes: number
  fdatasyncs: number
  readsInline: number
  readsWaited: number
  writesInline: number
  writesWaited: number
}

/** One brick, opened. Everything that PROTOCOL.md asks one to remember lives behind this. */
export interface Brick extends AsyncDisposable {
  readonly uuid: string
  readonly clusterId: string
  readonly openCounter: number
  /** cold: the machine rebooted since the last write, unflushed writes may be gone. */
  readonly state: 'warm' | 'cold'
  /** Set once a write or an fsync failed: everything is refused with ioError from then on. */
  readonly failure: Error | null
  readonly capacity: WatchedCapacity
  readonly counters: BrickCounters

  /** Persists the descriptors before anything is held; idempotent for the same uuid, size and epoch. */
  createVolume(volume: { uuid: string; sizeBytes: number; epoch: number; setVersion: number }): Promise<void>
  growVolume(uuid: string, sizeBytes: number): Promise<void>
  /** Frees every slot: durable first, punched next, reusable last. Calls back with bytes given back so far. */
  deleteVolume(uuid: string, progress?: (freedBytes: number) => void): Promise<void>
  /** Volumes that have descriptors here. */
  volumes(): readonly string[]
  /** Rejects with ERR_VOLUME_NOT_FOUND (UNKNOWN, never zeroes) without a descriptor. */
  openVolume(uuid: string): Promise<VolumeExtents>

  /** The same volumes, with what replication asks of them. */
  readonly replicas: ReplicaStore

  /** Starts a scrub unless one runs; `bytesPerSecond` bounds what it reads, past the page cache. */
  startScrub(options?: { bytesPerSecond?: number }): void
  stopScrub(): Promise<void>
  readonly scrub: ScrubProgress | null
}
