import { causes } from '../../errors/causes.ts'
import { ReservationType } from '../../volume/reservations/reservation-state.ts'
import type { ReservationAction, ReservationRefusal } from '../../volume/reservations/step-reservations.ts'
import { USAGE_8, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import {
  BASIC_LIST_BYTES,
  decodeMoveParameters,
  decodeReserveParameters,
  MOVE_AT,
  RESERVE_LIST_AT,
  RESERVE_LIST_BYTES_MAX,
  type RefusedList,
  type ReserveParameters,
} from '../reserve-parameters.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'

const TYPES: readonly number[] = Object.values(ReservationType)

/** null where SCOPE or TYPE holds what SPC-5 reserves; SCOPE must be 0, the logical unit. */
function typeOf(task: Task): ReservationType | null {
  const scopeAndType = task.command.cdb[2]!
  return TYPES.includes(scopeAndType) ? (scopeAndType as ReservationType) : null
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
    case 'invalidServiceActionKey':
      return void task.failParameter(RESERVE_LIST_AT.serviceActionReservationKey)
    case 'invalidInitiatorPorts':
      return void task.failParameter(BASIC_LIST_BYTES)
    case 'invalidRelease':
      return void task.fail(Sense.invalidReleaseOfPersistentReservation)
    case 'insufficientRegistrationResources':
      return void task.fail(Sense.insufficientRegistrationResources)
  }
}

function refuseList(task: Task, { refused, byte }: RefusedList): void {
  task.fail(refused, byte === undefined ? {} : { field: { inCdb: false, byte } })
}

/** The action asked for, or null when a field is refused (and the task has ended). */
type ToAction = (parameters: ReserveParameters, task: Task) => ReservationAction | null

function registration({ key, serviceActionKey, persist, allTargetPorts, ports }: ReserveParameters) {
  return { do: 'register', key, newKey: serviceActionKey, persist, allTargetPorts, also: ports } as const
}

function registrationIgnoringKey(parameters: ReserveParameters, task: Task): ReservationAction | null {
  const { serviceActionKey: newKey, persist, allTargetPorts, namesPorts } = parameters
  if (!namesPorts) return { do: 'registerAndIgnoreExistingKey', newKey, persist, allTargetPorts }
  task.failParameter(RESERVE_LIST_AT.flags, 3)
  return null
}

function reservation(what: 'reserve' | 'release'): ToAction {
  return ({ key }, task) => {
    const type = typeOf(task)
    if (type !== null) return { do: what, key, type }
    task.failField(2)
    return null
  }
}

function preemption(what: 'preempt' | 'preemptAndAbort'): ToAction {
  return ({ key, serviceActionKey }, task) => ({
    do: what,
    key,
    victimKey: serviceActionKey,
    type: typeOf(task),
  })
}

function execute(task: Task, takesPorts: boolean, toAction: ToAction): void {
  const parameters = decodeReserveParameters(listOf(task), takesPorts)
  if ('refused' in parameters) return refuseList(task, parameters)
  const action = toAction(parameters, task)
  if (action !== null) change(task, action)
}

/** The relative target port is the group's id: both are the gateway's small number. */
function executeMove(task: Task): void {
  const { unit, nexus } = task.link
  const parameters = decodeMoveParameters(listOf(task))
  if ('refused' in parameters) return refuseList(task, parameters)
  const { key, serviceActionKey: newKey, persist, unregister, targetPort, to } = parameters
  const groups = unit.target.portGroups.groupsOf(unit.volume, nexus.targetPortalGroupTag)
  if (!groups.some(({ id }) => id === targetPort)) return void task.failParameter(MOVE_AT.relativeTargetPort)
  const targetPortalGroupTag = targetPort
  change(task, { do: 'registerAndMove', key, newKey, persist, unregister, targetPortalGroupTag, to })
}

function listOf({ command }: Task): Buffer {
  const { dataOut, dataOutAt, dataOutReceived } = command
  return dataOut.subarray(dataOutAt, dataOutAt + dataOutReceived)
}

const common = {
  operationCode: 0x5f,
  usage: [0, 0, ...USAGE_8, 0, 0, ...USAGE_32, 0],
  // Who may do what to whose reservation is the reducer's to say.
  reservation: 'all',
  unitReservation: 'none',
  withoutMedium: true,
  timeoutSeconds: 30,
  counts: 'other',
} as const

const REGISTER = 0x00

function define(name: string, serviceAction: number, toAction: ToAction): CommandDefinition {
  const takesPorts = serviceAction === REGISTER
  const bytesMax = takesPorts ? RESERVE_LIST_BYTES_MAX : BASIC_LIST_BYTES
  return {
    ...common,
    name: `PERSISTENT RESERVE OUT, ${name}`,
    serviceAction,
    begin: task => begin(task, bytesMax),
    execute: task => execute(task, takesPorts, toAction),
  }
}

function begin(task: Task, bytesMax: number): CommandPhase {
  const lengthBytes = task.command.cdb.readUInt32BE(5)
  const isPossible = lengthBytes >= BASIC_LIST_BYTES && lengthBytes <= bytesMax
  if (!isPossible) return task.fail(Sense.parameterListLengthError)
  task.command.dataOutLength = lengthBytes
  return CommandPhase.needsData
}

/** SPC-5 §6.17. */
export const persistentReserveOutCommands: readonly CommandDefinition[] = [
  define('REGISTER', REGISTER, registration),
  define('RESERVE', 0x01, reservation('reserve')),
  define('RELEASE', 0x02, reservation('release')),
  define('CLEAR', 0x03, ({ key }) => ({ do: 'clear', key })),
  define('PREEMPT', 0x04, preemption('preempt')),
  define('PREEMPT AND ABORT', 0x05, preemption('preemptAndAbort')),
  define('REGISTER AND IGNORE EXISTING KEY', 0x06, registrationIgnoringKey),
  {
    ...common,
    name: 'PERSISTENT RESERVE OUT, REGISTER AND MOVE',
    serviceAction: 0x07,
    begin: task => begin(task, RESERVE_LIST_BYTES_MAX),
    execute: executeMove,
  },
]
