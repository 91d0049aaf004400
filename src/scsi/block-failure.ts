import { BlockStatus } from '../block/block-status.ts'
import { causeOfBlockStatus } from '../errors/block-causes.ts'
import { causes } from '../errors/causes.ts'
import { ScsiStatus } from './scsi-command.ts'
import { type SenseCode, type SenseDetails, setCheckCondition } from './sense.ts'
import type { Task } from './task.ts'

/** The sense of a failed block operation, from the one table of causes. */
export function senseOf(status: BlockStatus): SenseCode {
  return causeOfBlockStatus(status).sense ?? causes.ERR_BLOCK_IO.sense
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
