import { USAGE_8, USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { encodeModeParameters, PageControl } from '../mode-pages.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'

const DBD = 0x08
const LLBAA = 0x10

function execute(task: Task, isLong: boolean, allocationLength: number): void {
  const { cdb } = task.command
  const pageControl = (cdb[2]! >> 6) as PageControl
  if (pageControl === PageControl.saved) return void task.fail(Sense.savingParametersNotSupported)
  const data = encodeModeParameters(task.link.unit, {
    isLong,
    pageControl,
    pageCode: cdb[2]! & 0x3f,
    subpageCode: cdb[3]!,
    withBlockDescriptor: (cdb[1]! & DBD) === 0,
    withLongLba: isLong && (cdb[1]! & LLBAA) !== 0,
  })
  if (data === null) return void task.failField(2, 5)
  task.goodWith(data, allocationLength)
}

const common = {
  reservation: 'write',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
} as const

/** SPC-5 §6.14. */
export const modeSense6: CommandDefinition = {
  ...common,
  name: 'MODE SENSE (6)',
  operationCode: 0x1a,
  usage: [0, DBD, ...USAGE_8, ...USAGE_8, ...USAGE_8, 0],
  execute: task => execute(task, false, task.command.cdb[4]!),
}

/** SPC-5 §6.15. */
export const modeSense10: CommandDefinition = {
  ...common,
  name: 'MODE SENSE (10)',
  operationCode: 0x5a,
  usage: [0, DBD | LLBAA, ...USAGE_8, ...USAGE_8, 0, 0, 0, ...USAGE_16, 0],
  execute: task => execute(task, true, task.command.cdb.readUInt16BE(7)),
}
