import { causes } from '../../errors/causes.ts'
import { ReservationType } from '../../volume/reservations/reservation-state.ts'
import type { ReservationAction, ReservationRefusal } from '../../volume/reservations/step-reservations.ts'
import { USAGE_8, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'

/** Basic PERSISTENT RESERVE OUT parameter list. SPC-5 §6.17.3. */
const LIST_BYTES = 24
const LIST_AT = { reservationKey: 0, serviceActionReservationKey: 8, flags: 20 } as const
const SPEC_I_PT = 0x08
const ALL_TG_PT = 0x04
const APTPL = 0x01

const TYPES: readonly number[] = Object.values(ReservationType)

interface Parameters {
  readonly key: bigint
  readonly otherKey: bigint
  readonly persist: boolean
  /** null when the SCOPE or TYPE field holds what SPC-5 reserves; SCOPE must be 0, the logical unit. */
  readonly type: ReservationType | null
}

function begin(task: Task): CommandPhase {
  const { command } = task
  if (command.cdb.readUInt32BE(5) !== LIST_BYTES) return task.fail(Sense.parameterListLengthError)
  command.dataOutLength = LIST_BYTES
  return CommandPhase.needsData
}

function decode(task: Task): Parameters {
  const { cdb, dataOut, dataOutAt } = task.command
  const scopeAndType = cdb[2]!
  return {
    key: dataOut.readBigUInt64BE(dataOutAt + LIST_AT.reservationKey),
    otherKey: dataOut.readBigUInt64BE(dataOutAt + LIST_AT.serviceActionReservationKey),
    persist: (dataOut[dataOutAt + LIST_AT.flags]! & APTPL) !== 0,
    type: TYPES.includes(scopeAndType) ? (scopeAndType as ReservationType) : null,
  }
}

function change(task: Task, action: ReservationAction): void {
  const { link } = task
  link.unit.volume.reservations.change(link.client, action).then(
    result => (result === 'done' ? task.good() : refuse(task, result)),
    // The storage failed: what became of the change is unknown, so nothing is claimed.
    () => void task.fail(causes.ERR_BLOCK_UNAVAILABLE.sense),
  )
}

function refuse(task: Task, refusal: ReservationRefusal): void {
  switch (refusal) {
    case 'conflict':
      return void task.failStatus(ScsiStatus.reservationConflict)
    case 'invalidType':
      return void task.failField(2)
    case 'invalidVictimKey':
      return void task.failParameter(LIST_AT.serviceActionReservationKey)
    case 'invalidRelease':
      return void task.fail(Sense.invalidReleaseOfPersistentReservation)
    case 'insufficientRegistrationResources':
      return void task.fail(Sense.insufficientRegistrationResources)
  }
}

/** The action asked for, or null when a field is refused (and the task has ended). */
type ToAction = (parameters: Parameters, task: Task) => ReservationAction | null

function registration(parameters: Parameters, task: Task): ReservationAction | null {
  const { dataOut, dataOutAt } = task.command
  const flags = dataOut[dataOutAt + LIST_AT.flags]!
  if ((flags & (SPEC_I_PT | ALL_TG_PT)) !== 0) {
    task.failParameter(LIST_AT.flags, (flags & SPEC_I_PT) !== 0 ? 3 : 2)
    return null
  }
  const { key, otherKey: newKey, persist } = parameters
  return { do: 'register', key, newKey, persist }
}

function registrationIgnoringKey(parameters: Parameters, task: Task): ReservationAction | null {
  const action = registration(parameters, task)
  if (action === null) return null
  return { do: 'registerAndIgnoreExistingKey', newKey: parameters.otherKey, persist: parameters.persist }
}

function reservation(what: 'reserve' | 'release'): ToAction {
  return ({ key, type }, task) => {
    if (type !== null) return { do: what, key, type }
    task.failField(2)
    return null
  }
}

function preemption(what: 'preempt' | 'preemptAndAbort'): ToAction {
  return ({ key, otherKey, type }) => ({ do: what, key, victimKey: otherKey, type })
}

function define(name: string, serviceAction: number, toAction: ToAction): CommandDefinition {
  return {
    name: `PERSISTENT RESERVE OUT, ${name}`,
    operationCode: 0x5f,
    serviceAction,
    usage: [0, 0, ...USAGE_8, 0, 0, ...USAGE_32, 0],
    // Who may do what to whose reservation is the reducer's to say.
    reservation: 'all',
    unitReservation: 'none',
    withoutMedium: true,
    timeoutSeconds: 30,
    counts: 'other',
    begin,
    execute: task => {
      if (task.command.dataOutReceived < LIST_BYTES) return void task.fail(Sense.parameterListLengthError)
      const action = toAction(decode(task), task)
      if (action !== null) change(task, action)
    },
  }
}

/** SPC-5 §6.17. */
export const persistentReserveOutCommands: readonly CommandDefinition[] = [
  define('REGISTER', 0x00, registration),
  define('RESERVE', 0x01, reservation('reserve')),
  define('RELEASE', 0x02, reservation('release')),
  define('CLEAR', 0x03, ({ key }) => ({ do: 'clear', key })),
  define('PREEMPT', 0x04, preemption('preempt')),
  define('PREEMPT AND ABORT', 0x05, preemption('preemptAndAbort')),
  define('REGISTER AND IGNORE EXISTING KEY', 0x06, registrationIgnoringKey),
]
