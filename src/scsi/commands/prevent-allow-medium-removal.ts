import type { CommandDefinition } from '../command-definition.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

/** PREVENT 01b; 10b and 11b are obsolete and refused. */
const PREVENT = 0x01

function isPreventing(task: Task): boolean {
  return (task.command.cdb[4]! & PREVENT) !== 0
}

// SPC-5 table 71: allowing is allowed under anybody's reservation, preventing is not.
function begin(task: Task): CommandPhase {
  const { client, unit } = task.link
  if (!isPreventing(task) || unit.volume.reservations.permits(client, 'write')) return CommandPhase.ready
  return task.failStatus(ScsiStatus.reservationConflict)
}

/** SBC-4 §5.13. Ends with the nexus, with a reset and with PREEMPT AND ABORT. */
export const preventAllowMediumRemoval: CommandDefinition = {
  name: 'PREVENT ALLOW MEDIUM REMOVAL',
  operationCode: 0x1e,
  usage: [0, 0, 0, 0, PREVENT, 0],
  reservation: 'all',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin,
  execute: task => {
    task.link.preventsRemoval = isPreventing(task)
    task.good()
  },
}
