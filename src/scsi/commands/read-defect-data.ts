import { USAGE_16, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

/** REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT, which the answer repeats as PLISTV, GLISTV and the format. */
const REQUEST = 0x1f
const FORMAT = 0x07
/** DEFECT LIST FORMAT values for address descriptors: 110b is vendor specific, 111b is reserved. */
const FORMAT_MAX = 5

const common = {
  reservation: 'all',
  unitReservation: 'holder',
  timeoutSeconds: 10,
  counts: 'other',
} as const

function begin(task: Task, requestAt: number): CommandPhase {
  if ((task.command.cdb[requestAt]! & FORMAT) > FORMAT_MAX) return task.failField(requestAt, 2)
  return CommandPhase.ready
}

// Blocks that go bad are repaired from a replica or reported where they are read; no list is kept of them. Both
// lists are therefore empty, in whichever format.
function execute(task: Task, requestAt: number, headerBytes: number, allocationLength: number): void {
  const header = Buffer.alloc(headerBytes)
  header[1] = task.command.cdb[requestAt]! & REQUEST
  task.goodWith(header, allocationLength)
}

/** SBC-4 §5.22. */
export const readDefectData10: CommandDefinition = {
  ...common,
  name: 'READ DEFECT DATA (10)',
  operationCode: 0x37,
  usage: [0, 0, REQUEST, 0, 0, 0, 0, ...USAGE_16, 0],
  begin: task => begin(task, 2),
  execute: task => execute(task, 2, 4, task.command.cdb.readUInt16BE(7)),
}

/** SBC-4 §5.23. ADDRESS DESCRIPTOR INDEX is past the end of an empty list, wherever it points. */
export const readDefectData12: CommandDefinition = {
  ...common,
  name: 'READ DEFECT DATA (12)',
  operationCode: 0xb7,
  usage: [0, REQUEST, ...USAGE_32, ...USAGE_32, 0, 0],
  begin: task => begin(task, 1),
  execute: task => execute(task, 1, 8, task.command.cdb.readUInt32BE(6)),
}
