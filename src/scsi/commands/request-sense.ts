import { USAGE_8 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { sanitizeRefusal } from '../sanitize-refusal.ts'
import { SENSE_BYTES_MAX } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { encodeSense, Sense } from '../sense.ts'

const DESC = 0x01

/** SPC-5 §6.39. Returns, and so clears, the pending unit attention or deferred error; else how a sanitize goes. */
export const requestSense: CommandDefinition = {
  name: 'REQUEST SENSE',
  operationCode: 0x03,
  usage: [0, DESC, 0, 0, ...USAGE_8, 0],
  reservation: 'all',
  withoutMedium: true,
  duringSanitize: 'always',
  ignoresAttentions: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { command, link } = task
    const deferred = link.deferredError
    link.deferredError = null
    const news = deferred ?? link.attentions.take()
    const refusal = news === null ? sanitizeRefusal(link.unit) : null
    const code = news ?? refusal?.code ?? Sense.noAdditionalSense
    const data = Buffer.alloc(SENSE_BYTES_MAX)
    const details = { ...refusal?.details, deferred: deferred !== null }
    const length = encodeSense(data, (command.cdb[1]! & DESC) !== 0, code, details)
    task.goodWith(data.subarray(0, length), command.cdb[4]!)
  },
}
