import { USAGE_8, USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { logPage } from '../log-pages.ts'
import { CommandPhase } from '../scsi-target.ts'

const FIELD_OF_REFUSAL = { page: [2, 5], subpage: [3, 7], pointer: [5, 7] } as const

/** SPC-5 §6.9. Nothing is saved (SP), and PC matters to counters alone, of which there are none. */
export const logSense: CommandDefinition = {
  name: 'LOG SENSE',
  operationCode: 0x4d,
  usage: [0, 0, ...USAGE_8, ...USAGE_8, 0, ...USAGE_16, ...USAGE_16, 0],
  reservation: 'all',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { cdb } = task.command
    const answer = logPage(task.link.unit, cdb[2]! & 0x3f, cdb[3]!, cdb.readUInt16BE(5))
    if ('page' in answer) return task.goodWith(answer.page, cdb.readUInt16BE(7))
    const [byte, bit] = FIELD_OF_REFUSAL[answer.refused]
    task.failField(byte, bit)
  },
}
