import { USAGE_8 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { SENSE_BYTES_MAX } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { encodeSense, Sense } from '../sense.ts'

const DESC = 0x01

/** SPC-5 §6.39. Returns, and so clears, the pending unit attention or deferred error. */
export const requestSense: CommandDefinition = {
  name: 'REQUEST SENSE',
  operationCode: 0x03,
  usage: [0, DESC, 0, 0, ...USAGE_8, 0],
  reservation: 'all',
  withoutMedium: true,
  ignoresAttentions: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => {
    const { command, link } = task
    const deferred = link.deferredError
    link.deferredError = null
    const code = deferred ?? link.attentions.take() ?? Sense.noAdditionalSense
    const data = Buffer.alloc(SENSE_BYTES_MAX)
    const details = { deferred: deferred !== null }
    const length = encodeSense(data, (command.cdb[1]! & DESC) !== 0, code, details)
    task.goodWith(data.subarray(0, length), command.cdb[4]!)
  },
}
