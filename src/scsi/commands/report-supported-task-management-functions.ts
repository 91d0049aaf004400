import { USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'

const ATS = 0x80
const ATSS = 0x40
const CTSS = 0x10
const LURS = 0x08
const REPD = 0x80

/** SPC-5 §6.38: abort task, abort task set, clear task set, logical unit reset. */
export const reportSupportedTaskManagementFunctions: CommandDefinition = {
  name: 'REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS',
  operationCode: 0xa3,
  serviceAction: 0x0d,
  usage: [0, 0, REPD, 0, 0, 0, ...USAGE_32, 0, 0],
  reservation: 'write',
  withoutMedium: true,
  duringSanitize: 'always',
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { cdb } = task.command
    const allocationLength = cdb.readUInt32BE(6)
    // SPC-5 §6.38: less than the short form makes no sense to anybody.
    if (allocationLength < 4) return void task.failField(6)
    const data = Buffer.alloc((cdb[2]! & REPD) === 0 ? 4 : 16)
    data[0] = ATS | ATSS | CTSS | LURS
    if (data.length === 16) data[3] = 12
    task.goodWith(data, allocationLength)
  },
}
