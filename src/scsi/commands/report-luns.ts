import { USAGE_8, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Attention } from '../unit-attention.ts'

/** SELECT REPORT: SPC-5 table 293. There are no well known logical units and no conglomerates here. */
const SELECT = { addressable: 0x00, wellKnown: 0x01, all: 0x02, administrative: 0x10 } as const

const HEADER_BYTES = 8
/** LUNs below this take the peripheral device form, all others the flat space form. SAM-5 §4.7.7. */
const PERIPHERAL_LUNS = 256

/** REPORT LUNS parameter data, or null when SELECT REPORT asks for what SPC-5 reserves. */
export function reportLunsData(selectReport: number, luns: readonly number[]): Buffer | null {
  if (selectReport > SELECT.all && (selectReport < SELECT.administrative || selectReport > 0x12)) return null
  const listed = selectReport === SELECT.addressable || selectReport === SELECT.all ? luns : []
  const data = Buffer.alloc(HEADER_BYTES + 8 * listed.length)
  data.writeUInt32BE(8 * listed.length, 0)
  listed.forEach((lun, index) => {
    data.writeUInt16BE(lun < PERIPHERAL_LUNS ? lun : 0x4000 | lun, HEADER_BYTES + 8 * index)
  })
  return data
}

/** SPC-5 §6.35. */
export const reportLuns: CommandDefinition = {
  name: 'REPORT LUNS',
  operationCode: 0xa0,
  usage: [0, 0, ...USAGE_8, 0, 0, 0, ...USAGE_32, 0, 0],
  reservation: 'all',
  withoutMedium: true,
  duringSanitize: 'always',
  ignoresAttentions: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { command, link } = task
    const { target } = link.unit
    const data = reportLunsData(command.cdb[2]!, target.luns)
    if (data === null) return void task.failField(2)
    target.clearAttention(link.nexus, Attention.reportedLunsDataHasChanged)
    task.goodWith(data, command.cdb.readUInt32BE(6))
  },
}
