import { BlockStatus } from '../block/block-status.ts'
import { type Cause, type CauseCode, causes } from './causes.ts'
import { HoldfastError } from './holdfast-error.ts'

const CAUSE_OF: Partial<Record<BlockStatus, CauseCode>> = {
  [BlockStatus.outOfRange]: 'ERR_BLOCK_OUT_OF_RANGE',
  [BlockStatus.noSpace]: 'ERR_BLOCK_NO_SPACE',
  [BlockStatus.mediumError]: 'ERR_BLOCK_MEDIUM',
  [BlockStatus.miscompare]: 'ERR_BLOCK_MISCOMPARE',
  [BlockStatus.writeProtected]: 'ERR_BLOCK_WRITE_PROTECTED',
  [BlockStatus.reservationConflict]: 'ERR_BLOCK_RESERVATION_CONFLICT',
  [BlockStatus.ioError]: 'ERR_BLOCK_IO',
  [BlockStatus.aborted]: 'ERR_BLOCK_ABORTED',
  [BlockStatus.unavailable]: 'ERR_BLOCK_UNAVAILABLE',
  [BlockStatus.sanitizing]: 'ERR_BLOCK_SANITIZING',
  [BlockStatus.sanitizeFailed]: 'ERR_BLOCK_SANITIZE_FAILED',
  [BlockStatus.inDoubt]: 'ERR_BLOCK_IN_DOUBT',
  [BlockStatus.writesLost]: 'ERR_BLOCK_WRITES_LOST',
}

/** The row of the one error table for a block operation that failed. */
export function causeOfBlockStatus(status: BlockStatus): Cause {
  return causes[causeCodeOfBlockStatus(status)]
}

/** Its code; the brick's failure for a status that has no row. */
export function causeCodeOfBlockStatus(status: BlockStatus): CauseCode {
  return CAUSE_OF[status] ?? 'ERR_BLOCK_IO'
}

/** How a block operation of which `error` is the end says it; ioError for what is in no row. */
export function blockStatusOf(error: unknown): BlockStatus {
  if (!(error instanceof HoldfastError)) return BlockStatus.ioError
  const row = Object.entries(CAUSE_OF).find(([, code]) => code === error.code)
  return row === undefined ? BlockStatus.ioError : (Number(row[0]) as BlockStatus)
}
