import { BlockKind } from '../../block/block-operation.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const IMMED = 0x01
const NO_FLUSH = 0x04
const START = 0x01

function begin(task: Task): CommandPhase {
  const { command, link } = task
  const isStart = (command.cdb[4]! & START) !== 0
  // SBC-4 table 13: starting is allowed under anybody's reservation, stopping is not.
  if (!isStart && !link.unit.volume.reservations.permits(link.client, 'write')) {
    return task.failStatus(ScsiStatus.reservationConflict)
  }
  return CommandPhase.ready
}

// There is nothing to spin down, and the volume may be others' too: stopping makes data durable, no more.
function execute(task: Task): void {
  if ((task.command.cdb[4]! & (START | NO_FLUSH)) !== 0) return task.good()
  task.submit(BlockKind.flush, 0, 0, null, 0, good)
}

/** SBC-4 §5.31. No power conditions, and no medium to load or eject. */
export const startStopUnit: CommandDefinition = {
  name: 'START STOP UNIT',
  operationCode: 0x1b,
  usage: [0, IMMED, 0, 0, NO_FLUSH | START, 0],
  reservation: 'all',
  timeoutSeconds: 60,
  counts: 'other',
  begin,
  execute,
}
