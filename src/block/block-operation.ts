import { BlockStatus } from './block-status.ts'

/** Largest atomic write: what one redo record of a brick's journal holds. */
export const ATOMIC_WRITE_BYTES_MAX = 1024 * 1024

export const BlockKind = {
  read: 0,
  write: 1,
  /** Zero exactly these bytes; gives the space back where whole blocks allow (UNMAP, TRIM). */
  trim: 2,
  /** Zero exactly these bytes, keeping the space reserved (WRITE ZEROES with NO_HOLE). */
  zero: 3,
  /** Everything acknowledged before this operation was submitted is durable when it completes. */
  flush: 4,
  /** `data` holds the compare half, then the write half, each `lengthBytes` long. Atomic. */
  compareAndWrite: 5,
  /** Compares `data` with the medium (VERIFY with BYTCHK=01b). */
  verify: 6,
  /** Sets every bit on the medium that is set in `data`, leaving the others (ORWRITE). Atomic. */
  orWrite: 7,
  /**
   * A write that is there whole or not at all, through the death of the process and a loss of power. At most
   * ATOMIC_WRITE_BYTES_MAX, counted in whole 4 KiB blocks.
   */
  writeAtomic: 8,
} as const
export type BlockKind = (typeof BlockKind)[keyof typeof BlockKind]

/** Receives an operation when it has ended. Called exactly once per submit(), never from inside it. */
export interface BlockCompletion {
  blockDone(operation: BlockOperation): void
}

const NO_DATA = Buffer.alloc(0)

/**
 * One asynchronous operation on a block device. Whoever issues operations preallocates them and uses each
 * again after blockDone. Between submit() and blockDone the fields and `data` belong to the device.
 */
export class BlockOperation {
  kind: BlockKind = BlockKind.read
  offsetBytes = 0
  lengthBytes = 0
  /** Payload of writes, target of reads. Must stay valid and unchanged until blockDone. */
  data: Buffer = NO_DATA
  /** Where in `data` the payload begins. */
  dataAt = 0
  /** The write is durable on every in-sync replica before it completes (FUA). */
  fua = false
  /** The flush is there for a read with FUA: that acknowledged writes are lost is for who asks for a flush. */
  isForRead = false
  /** Whose repetition after an owner's death can be told by these two; 0 for what nobody repeats. PROTOCOL rule 18. */
  stream = 0
  sequence = 0
  status: BlockStatus = BlockStatus.ok
  /** Device offset of the first byte at fault, with mediumError and miscompare. */
  failedAtBytes = 0
  completion: BlockCompletion
  /** Scratch for the device that holds the operation: intrusive list links and its phase. */
  next: BlockOperation | null = null
  previous: BlockOperation | null = null
  phase = 0

  constructor(completion: BlockCompletion) {
    this.completion = completion
  }
}
