import { BlockStatus } from '../block/block-status.ts'
import { type Cause, type CauseCode, causes } from '../errors/causes.ts'
import { ScsiStatus } from './scsi-command.ts'
import { type SenseCode, type SenseDetails, setCheckCondition } from './sense.ts'
import type { Task } from './task.ts'

const CAUSE_OF: Partial<Record<BlockStatus, CauseCode>> = {
  [BlockStatus.outOfRange]: 'ERR_BLOCK_OUT_OF_RANGE',
  [BlockStatus.noSpace]: 'ERR_BLOCK_NO_SPACE',
  [BlockStatus.mediumError]: 'ERR_BLOCK_MEDIUM',
  [BlockStatus.miscompare]: 'ERR_BLOCK_MISCOMPARE',
  [BlockStatus.writeProtected]: 'ERR_BLOCK_WRITE_PROTECTED',
  [BlockStatus.ioError]: 'ERR_BLOCK_IO',
  [BlockStatus.aborted]: 'ERR_BLOCK_ABORTED',
  [BlockStatus.unavailable]: 'ERR_BLOCK_UNAVAILABLE',
}

/** The sense of a failed block operation, from the one table of causes. */
export function senseOf(status: BlockStatus): SenseCode {
  const cause: Cause = causes[CAUSE_OF[status] ?? 'ERR_BLOCK_IO']
  return cause.sense ?? causes.ERR_BLOCK_IO.sense
}

/** Puts into the command's answer what a block status means to an initiator; does not end it. */
export function setBlockFailure(task: Task, status: BlockStatus, failedAtBytes: number): void {
  const { command } = task
  if (status === BlockStatus.reservationConflict) {
    command.status = ScsiStatus.reservationConflict
    return
  }
  let details: SenseDetails | undefined
  if (status === BlockStatus.mediumError) {
    details = { information: Math.floor(failedAtBytes / task.link.unit.volume.blockSizeBytes) }
  } else if (status === BlockStatus.miscompare) {
    // SBC-4 §5.3: an offset into the data-out (which VERIFY may repeat), not an address.
    details = { information: (failedAtBytes - task.offsetBytes) % command.dataOutLength }
  }
  setCheckCondition(command, task.link.unit.modes.descriptorSense, senseOf(status), details)
}
