import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'

/** SPC-5 §6.47. */
export const testUnitReady: CommandDefinition = {
  name: 'TEST UNIT READY',
  operationCode: 0x00,
  usage: [],
  reservation: 'all',
  unitReservation: 'holder',
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
  execute: task => task.good(),
}
