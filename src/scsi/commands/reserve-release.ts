import { causes } from '../../errors/causes.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

// The whole unit for one nexus, until it releases it or is lost, or until a reset. Third-party and extent
// reservations are refused: their bits are not evaluated.

const common = {
  // Who may reserve and release is decided where reservations are kept.
  reservation: 'all',
  withoutMedium: true,
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
} as const

/** SPC-2 §7.21. */
export const reserve6: CommandDefinition = {
  ...common,
  name: 'RESERVE (6)',
  operationCode: 0x16,
  usage: [],
  execute: (task: Task) => {
    const { client, unit } = task.link
    const answer = (isReserved: boolean) =>
      isReserved ? task.good() : task.failStatus(ScsiStatus.reservationConflict)
    const isReserved = unit.volume.reservations.reserveUnit(client)
    if (typeof isReserved === 'boolean') return void answer(isReserved)
    isReserved.then(answer, () => void task.fail(causes.ERR_BLOCK_UNAVAILABLE.sense))
  },
}

/** SPC-2 §7.16. With registrations it conflicts, as RESERVE does: CRH is zero. SPC-5 §5.14.3. */
export const release6: CommandDefinition = {
  ...common,
  name: 'RELEASE (6)',
  operationCode: 0x17,
  usage: [],
  execute: (task: Task) => {
    const { client, unit } = task.link
    const { reservations } = unit.volume
    if (reservations.state.registrations.length > 0)
      return void task.failStatus(ScsiStatus.reservationConflict)
    reservations.releaseUnit(client)
    task.good()
  },
}
