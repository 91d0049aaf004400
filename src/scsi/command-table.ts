import type { CommandDefinition } from './command-definition.ts'
import { compareAndWrite } from './commands/compare-and-write.ts'
import { extendedCopyLid1 } from './commands/extended-copy.ts'
import { getLbaStatus16 } from './commands/get-lba-status.ts'
import { inquiry } from './commands/inquiry.ts'
import { logSense } from './commands/log-sense.ts'
import { modeSelect6, modeSelect10 } from './commands/mode-select.ts'
import { modeSense6, modeSense10 } from './commands/mode-sense.ts'
import { orWrite16 } from './commands/or-write.ts'
import { persistentReserveInCommands } from './commands/persistent-reserve-in.ts'
import { persistentReserveOutCommands } from './commands/persistent-reserve-out.ts'
import { preFetch10, preFetch16 } from './commands/pre-fetch.ts'
import { preventAllowMediumRemoval } from './commands/prevent-allow-medium-removal.ts'
import { read6, read10, read12, read16 } from './commands/read.ts'
import { readCapacity10, readCapacity16 } from './commands/read-capacity.ts'
import { readDefectData10, readDefectData12 } from './commands/read-defect-data.ts'
import { receiveCopyResultsCommands } from './commands/receive-copy-results.ts'
import { reportLuns } from './commands/report-luns.ts'
import { makeReportSupportedOperationCodes } from './commands/report-supported-operation-codes.ts'
import { reportSupportedTaskManagementFunctions } from './commands/report-supported-task-management-functions.ts'
import { reportTargetPortGroups } from './commands/report-target-port-groups.ts'
import { requestSense } from './commands/request-sense.ts'
import { release6, reserve6 } from './commands/reserve-release.ts'
import { sanitizeCommands } from './commands/sanitize.ts'
import { startStopUnit } from './commands/start-stop-unit.ts'
import { synchronizeCache10, synchronizeCache16 } from './commands/synchronize-cache.ts'
import { testUnitReady } from './commands/test-unit-ready.ts'
import { unmap } from './commands/unmap.ts'
import { verify10, verify12, verify16 } from './commands/verify.ts'
import { write6, write10, write12, write16 } from './commands/write.ts'
import { writeAndVerify10, writeAndVerify12, writeAndVerify16 } from './commands/write-and-verify.ts'
import { writeAtomic16 } from './commands/write-atomic.ts'
import { writeSame10, writeSame16 } from './commands/write-same.ts'

const SERVICE_ACTION_MASK = 0x1f

/** Every command of the device server. What is not here does not exist for an initiator. */
const commands: readonly CommandDefinition[] = [
  testUnitReady,
  requestSense,
  read6,
  write6,
  inquiry,
  modeSelect6,
  reserve6,
  release6,
  modeSense6,
  startStopUnit,
  preventAllowMediumRemoval,
  readCapacity10,
  read10,
  write10,
  writeAndVerify10,
  verify10,
  preFetch10,
  synchronizeCache10,
  readDefectData10,
  writeSame10,
  unmap,
  ...sanitizeCommands,
  logSense,
  modeSelect10,
  modeSense10,
  ...persistentReserveInCommands,
  ...persistentReserveOutCommands,
  extendedCopyLid1,
  ...receiveCopyResultsCommands,
  read16,
  compareAndWrite,
  write16,
  orWrite16,
  writeAndVerify16,
  verify16,
  preFetch16,
  synchronizeCache16,
  writeSame16,
  writeAtomic16,
  readCapacity16,
  getLbaStatus16,
  reportLuns,
  reportTargetPortGroups,
  makeReportSupportedOperationCodes(() => entries),
  reportSupportedTaskManagementFunctions,
  read12,
  write12,
  writeAndVerify12,
  verify12,
  readDefectData12,
]

/** CDB length by operation code group. SPC-5 §4.2.5.1, table 6. */
const GROUP_CDB_BYTES = [6, 10, 10, 0, 16, 12, 0, 0] as const

/** A command as the table holds it: with what its definition implies for every CDB. */
export interface CommandEntry {
  readonly definition: CommandDefinition
  /** As REPORT SUPPORTED OPERATION CODES gives it, one byte per CDB byte. SPC-5 §6.37.3. */
  readonly usageData: Buffer
  /** The bits that must be zero, per CDB byte. */
  readonly foreignBits: Uint8Array
}

const entries: readonly CommandEntry[] = commands.map(definition => {
  const usageData = Buffer.alloc(GROUP_CDB_BYTES[definition.operationCode >> 5]!)
  usageData.set(definition.usage)
  usageData[0] = definition.operationCode
  if (definition.serviceAction !== undefined) usageData[1] = usageData[1]! | definition.serviceAction
  const foreignBits = Uint8Array.from(usageData, usage => ~usage & 0xff)
  foreignBits[1] = foreignBits[1]! & ~(definition.obsoleteBits ?? 0)
  return { definition, usageData, foreignBits }
})

interface Row {
  /** The command of an operation code without service actions. */
  readonly single: CommandEntry | null
  readonly byServiceAction: readonly (CommandEntry | undefined)[]
}

const rows: readonly (Row | null)[] = Array.from({ length: 256 }, (_, operationCode) => {
  const here = entries.filter(entry => entry.definition.operationCode === operationCode)
  if (here.length === 0) return null
  const byServiceAction: (CommandEntry | undefined)[] = []
  for (const entry of here) {
    const { serviceAction } = entry.definition
    if (serviceAction !== undefined) byServiceAction[serviceAction] = entry
  }
  return { single: here.find(entry => entry.definition.serviceAction === undefined) ?? null, byServiceAction }
})

export function isOperationCodeKnown(operationCode: number): boolean {
  return rows[operationCode] !== null
}

/** The command that a CDB asks for, or null. */
export function findCommand(cdb: Buffer): CommandEntry | null {
  const row = rows[cdb[0]!]!
  if (row === null) return null
  return row.single ?? row.byServiceAction[cdb[1]! & SERVICE_ACTION_MASK] ?? null
}

/** Index of the first CDB byte with a bit set that the command does not evaluate, or -1. */
export function firstForeignByte({ foreignBits }: CommandEntry, cdb: Buffer): number {
  for (let at = 1; at < foreignBits.length; at++) if ((cdb[at]! & foreignBits[at]!) !== 0) return at
  return -1
}
