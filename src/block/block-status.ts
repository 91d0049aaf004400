/**
 * How a block operation ended. Small integers: the hot path compares them and allocates nothing.
 * src/errors/causes.ts gives each its SCSI sense, NBD errno and sentence.
 */
export const BlockStatus = {
  ok: 0,
  /** Only from the synchronous calls: the answer needs waiting, submit() an operation instead. */
  wouldBlock: 1,
  /** The range ends past the device's size. */
  outOfRange: 2,
  /** No space left in the bricks; nothing was applied. */
  noSpace: 3,
  /** A block's checksum fails everywhere; `failedAtBytes` names the first one. */
  mediumError: 4,
  /** COMPARE AND WRITE or VERIFY found a difference at `failedAtBytes`; nothing was written. */
  miscompare: 5,
  writeProtected: 6,
  /** A persistent reservation of another client forbids this. */
  reservationConflict: 7,
  /** The brick refuses: a write or an fsync failed underneath. Sticky until an operator acts. */
  ioError: 8,
  /** abort() took the operation back before it touched anything. */
  aborted: 9,
  /** The volume is not served here now (closing, recovering, draining). Worth a retry. */
  unavailable: 10,
  /** The volume is being sanitized: nobody reads or writes it until that is over. */
  sanitizing: 11,
  /** A sanitize failed: the volume stays shut until one succeeds or its failure is accepted. */
  sanitizeFailed: 12,
  /** The owner died meanwhile: whether this took effect cannot be known. */
  inDoubt: 13,
  /** Of a flush: something that was acknowledged before it is gone. */
  writesLost: 14,
} as const
export type BlockStatus = (typeof BlockStatus)[keyof typeof BlockStatus]
