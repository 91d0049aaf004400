import { USAGE_8, USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { standardInquiryData } from '../standard-inquiry.ts'
import { vpdPage } from '../vpd-pages.ts'

const EVPD = 0x01
/** Where SCSI-2 §7.2.2 had the LUN. Linux puts it there until the first INQUIRY has told it the version. */
const LUN_IN_CDB = 0xe0

/** SPC-5 §6.7. */
export const inquiry: CommandDefinition = {
  name: 'INQUIRY',
  operationCode: 0x12,
  usage: [0, EVPD, ...USAGE_8, ...USAGE_16, 0],
  obsoleteBits: LUN_IN_CDB,
  reservation: 'all',
  withoutMedium: true,
  duringSanitize: 'always',
  ignoresAttentions: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { command, link } = task
    const { cdb } = command
    const allocationLength = cdb.readUInt16BE(3)
    if ((cdb[1]! & EVPD) === 0) {
      if (cdb[2] !== 0) return void task.failField(2)
      const { volume, target } = link.unit
      return task.goodWith(standardInquiryData(target.identity, volume.removable), allocationLength)
    }
    const page = vpdPage(cdb[2]!, link)
    if (page === null) return void task.failField(2)
    task.goodWith(page, allocationLength)
  },
}
