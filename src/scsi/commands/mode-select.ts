import { USAGE_8, USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { MODE_PARAMETERS_BYTES_MAX } from '../limits.ts'
import { selectModes } from '../mode-selection.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'
import { Attention } from '../unit-attention.ts'

const PF = 0x10
const SP = 0x01

function begin(task: Task, lengthBytes: number, lengthAt: number): CommandPhase {
  const { command } = task
  // There is nowhere to save pages, and the vendor-specific format that PF=0 means is not known.
  if ((command.cdb[1]! & SP) !== 0) return task.failField(1, 0)
  if (lengthBytes === 0) return CommandPhase.ready
  if ((command.cdb[1]! & PF) === 0) return task.failField(1, 4)
  if (lengthBytes > MODE_PARAMETERS_BYTES_MAX) return task.failField(lengthAt)
  command.dataOutLength = lengthBytes
  return CommandPhase.needsData
}

function execute(task: Task, isLong: boolean): void {
  const { command, link } = task
  if (command.dataOutLength === 0) return task.good()
  const { dataOut, dataOutAt, dataOutReceived } = command
  if (dataOutReceived < command.dataOutLength) return void task.fail(Sense.parameterListLengthError)
  const list = dataOut.subarray(dataOutAt, dataOutAt + command.dataOutLength)
  const selection = selectModes(list, isLong, link.unit)
  switch (selection.result) {
    case 'truncated':
      return void task.fail(Sense.parameterListLengthError)
    case 'invalidField':
      return void task.failParameter(selection.byte)
    case 'changed':
      link.unit.modes.become(selection.modes)
      link.unit.establish(Attention.modeParametersChanged, link)
      link.unit.checkSpace()
      return task.good()
    default:
      task.good()
  }
}

const common = {
  reservation: 'write',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
} as const

/** SPC-5 §6.12. */
export const modeSelect6: CommandDefinition = {
  ...common,
  name: 'MODE SELECT (6)',
  operationCode: 0x15,
  usage: [0, PF | SP, 0, 0, ...USAGE_8, 0],
  begin: task => begin(task, task.command.cdb[4]!, 4),
  execute: task => execute(task, false),
}

/** SPC-5 §6.13. */
export const modeSelect10: CommandDefinition = {
  ...common,
  name: 'MODE SELECT (10)',
  operationCode: 0x55,
  usage: [0, PF | SP, 0, 0, 0, 0, 0, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt16BE(7), 7),
  execute: task => execute(task, true),
}
