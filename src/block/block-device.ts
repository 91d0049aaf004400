import type { BlockOperation } from './block-operation.ts'
import type { BlockStatus } from './block-status.ts'

/** A run of blocks that are alike: `mapped` ones hold data, the others read as zeroes and take no space. */
export interface BlockExtent {
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly mapped: boolean
}

/**
 * A volume as one client sees it: the seam between the protocols and the replicated store. A handle is bound
 * to the identity of its client, so that reservations are enforced for every operation (Volume.open).
 *
 * Offsets and lengths are bytes and multiples of `blockSizeBytes`; anything else is a caller's bug (invariant).
 *
 * The *Now calls are the hot path: they either finish in place, without allocating and without waiting for
 * a disk, or answer wouldBlock having done nothing, and then the caller submits an operation.
 */
export interface BlockDevice {
  /** Logical block size, 512 or 4096. */
  readonly blockSizeBytes: number
  /** May grow while the device is open. */
  readonly sizeBytes: number
  readonly readOnly: boolean

  /** Reads into `into[at, at + lengthBytes)`. Verified against the checksums before it answers ok. */
  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus
  /** Writes `from[at, at + lengthBytes)` to the page cache of the brick (no FUA). `from` may be reused at once. */
  writeNow(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): BlockStatus
  /** Of the last *Now call that answered mediumError: the device offset of the first bad block. */
  readonly failedAtBytes: number

  /** Starts an operation; `operation.completion.blockDone` is called later, exactly once. */
  submit(operation: BlockOperation): void
  /**
   * Takes back an operation that has not touched anything yet (then it completes with aborted); one that is
   * being applied completes with its real status. Either way blockDone follows and nothing happens after it.
   */
  abort(operation: BlockOperation): void

  /** The mapped and unmapped runs of a range, in order, without gaps; adjacent alike runs are merged. */
  extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]>
}
