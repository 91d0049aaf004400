import { BlockKind } from '../../block/block-operation.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import { good, type Task } from '../task.ts'

const IMMED = 0x01
const NO_FLUSH = 0x04
const LOEJ = 0x02
const START = 0x01
/** With one given, START and LOEJ mean nothing. All are alike here, reserved ones too: nothing spins. */
const POWER_CONDITION = 0xf0

function begin(task: Task): CommandPhase {
  const { command, link } = task
  const flags = command.cdb[4]!
  const { volume, isMediumLoaded } = link.unit
  if ((flags & POWER_CONDITION) !== 0) return CommandPhase.ready
  if ((flags & LOEJ) !== 0 && !volume.removable) return task.failField(4, 1)
  // SBC-4 table 13: starting is allowed under anybody's reservation, stopping is not.
  if ((flags & START) === 0 && !volume.reservations.permits(link.client, 'write')) {
    return task.failStatus(ScsiStatus.reservationConflict)
  }
  if ((flags & (START | LOEJ)) === START && !isMediumLoaded) return task.fail(Sense.mediumNotPresent)
  return CommandPhase.ready
}

// There is nothing to spin down, and the volume may be others' too: stopping makes data durable, no more.
// Ejecting takes the medium from this unit's initiators; NBD and other targets go on.
function execute(task: Task): void {
  const { command, link } = task
  const { unit } = link
  const flags = command.cdb[4]!
  if ((flags & POWER_CONDITION) !== 0) return task.good()
  if ((flags & LOEJ) !== 0) {
    // What moves the medium is locked in both directions.
    if (unit.isRemovalPrevented) return void task.fail(Sense.mediumRemovalPrevented)
    if ((flags & START) !== 0) unit.load(link)
    else unit.eject()
  }
  if ((flags & START) !== 0) return task.good()
  if ((flags & NO_FLUSH) !== 0) return task.good()
  task.submit(BlockKind.flush, 0, 0, null, 0, good)
}

/** SBC-4 §5.31. A medium to load and eject is there on removable volumes alone. */
export const startStopUnit: CommandDefinition = {
  name: 'START STOP UNIT',
  operationCode: 0x1b,
  usage: [0, IMMED, 0, 0, POWER_CONDITION | NO_FLUSH | LOEJ | START, 0],
  reservation: 'all',
  withoutMedium: true,
  timeoutSeconds: 60,
  counts: 'other',
  begin,
  execute,
}
