import { USAGE_8, USAGE_16, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import type { CommandEntry } from '../command-table.ts'
import { CommandPhase } from '../scsi-target.ts'

/** REPORTING OPTIONS. SPC-5 §6.37.1, table 303. */
const Report = { all: 0, operationCode: 1, serviceAction: 2, either: 3 } as const
const REPORTING_OPTIONS = 0x07
const RCTD = 0x80

const SUPPORTED = 3
const NOT_SUPPORTED = 1

/** SPC-5 §6.37. `entries` is asked when the command runs: the table contains this command too. */
export function makeReportSupportedOperationCodes(entries: () => readonly CommandEntry[]): CommandDefinition {
  return {
    name: 'REPORT SUPPORTED OPERATION CODES',
    operationCode: 0xa3,
    serviceAction: 0x0c,
    usage: [0, 0, RCTD | REPORTING_OPTIONS, ...USAGE_8, ...USAGE_16, ...USAGE_32, 0, 0],
    reservation: 'write',
    withoutMedium: true,
    duringSanitize: 'always',
    timeoutSeconds: 10,
    counts: 'other',
    begin: () => CommandPhase.ready,
    execute: task => {
      const { cdb } = task.command
      const allocationLength = cdb.readUInt32BE(6)
      const withTimeouts = (cdb[2]! & RCTD) !== 0
      const option = cdb[2]! & REPORTING_OPTIONS
      if (option === Report.all) return task.goodWith(allCommands(entries(), withTimeouts), allocationLength)
      if (option > Report.either) return void task.failField(2, 2)
      const here = entries().filter(entry => entry.definition.operationCode === cdb[3])
      const hasServiceActions = here.some(entry => entry.definition.serviceAction !== undefined)
      if (option === Report.operationCode && hasServiceActions) return void task.failField(2, 2)
      if (option === Report.serviceAction && here.length > 0 && !hasServiceActions) {
        return void task.failField(2, 2)
      }
      const serviceAction = option === Report.operationCode ? 0 : cdb.readUInt16BE(4)
      const found = here.find(entry => (entry.definition.serviceAction ?? 0) === serviceAction)
      task.goodWith(oneCommand(found, withTimeouts), allocationLength)
    },
  }
}

const SERVACTV = 0x01
const CTDP_OF_ALL = 0x02
const CTDP_OF_ONE = 0x80

/** SPC-5 §6.37.2. */
function allCommands(entries: readonly CommandEntry[], withTimeouts: boolean): Buffer {
  const descriptors = entries.flatMap(({ definition, usageData }) => {
    const descriptor = Buffer.alloc(8)
    descriptor[0] = definition.operationCode
    descriptor.writeUInt16BE(definition.serviceAction ?? 0, 2)
    const hasServiceAction = definition.serviceAction !== undefined
    descriptor[5] = (withTimeouts ? CTDP_OF_ALL : 0) | (hasServiceAction ? SERVACTV : 0)
    descriptor.writeUInt16BE(usageData.length, 6)
    return withTimeouts ? [descriptor, timeouts(definition)] : [descriptor]
  })
  const data = Buffer.concat([Buffer.alloc(4), ...descriptors])
  data.writeUInt32BE(data.length - 4, 0)
  return data
}

/** SPC-5 §6.37.3. */
function oneCommand(entry: CommandEntry | undefined, withTimeouts: boolean): Buffer {
  if (entry === undefined) return Buffer.of(0, NOT_SUPPORTED, 0, 0)
  const { definition, usageData } = entry
  const header = Buffer.of(0, SUPPORTED | (withTimeouts ? CTDP_OF_ONE : 0), 0, usageData.length)
  return Buffer.concat(withTimeouts ? [header, usageData, timeouts(definition)] : [header, usageData])
}

/** Command timeouts descriptor: no nominal time, the recommended one in seconds. SPC-5 §6.37.4. */
function timeouts(definition: CommandDefinition): Buffer {
  const descriptor = Buffer.alloc(12)
  descriptor.writeUInt16BE(10, 0)
  descriptor.writeUInt32BE(definition.timeoutSeconds, 8)
  return descriptor
}
