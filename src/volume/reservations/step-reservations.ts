import type { ClientIdentity } from '../client-identity.ts'
import {
  findRegistration,
  holdsReservation,
  type InitiatorPort,
  isAllRegistrants,
  NO_RESERVATIONS,
  REGISTRATIONS_MAX,
  type RegistrantName,
  type Registration,
  type Reservation,
  type ReservationState,
  type ReservationType,
  registrantName,
  registrantNames,
  registrationOf,
} from './reservation-state.ts'

/** PERSISTENT RESERVE OUT without its wire form. `key` is the RESERVATION KEY. SPC-5 §6.17. */
export type ReservationAction =
  | (Registering & {
      readonly do: 'register'
      readonly key: bigint
      /** SPEC_I_PT: these initiator ports are registered too, all or none. */
      readonly also?: readonly InitiatorPort[]
    })
  | (Registering & { readonly do: 'registerAndIgnoreExistingKey' })
  | {
      readonly do: 'registerAndMove'
      readonly key: bigint
      readonly newKey: bigint
      readonly persist: boolean
      readonly to: InitiatorPort
      readonly targetPortalGroupTag: number
      /** UNREG: the nexus that moves the reservation is no longer registered afterwards. */
      readonly unregister: boolean
    }
  | { readonly do: 'reserve' | 'release'; readonly key: bigint; readonly type: ReservationType }
  | { readonly do: 'clear'; readonly key: bigint }
  | {
      readonly do: 'preempt' | 'preemptAndAbort'
      readonly key: bigint
      readonly victimKey: bigint
      /** null: not a type. Matters only when the reservation changes hands. */
      readonly type: ReservationType | null
    }

interface Registering {
  readonly newKey: bigint
  readonly persist: boolean
  /** ALL_TG_PT: through every target port. */
  readonly allTargetPorts?: boolean
}

/** What another registrant is told, as a unit attention. SPC-5 §5.14.11. */
export interface ReservationNotice {
  readonly registrant: RegistrantName
  readonly kind: 'reservationsPreempted' | 'reservationsReleased' | 'registrationsPreempted'
}

export type ReservationRefusal =
  | 'conflict'
  | 'invalidType'
  /** The SERVICE ACTION RESERVATION KEY is one that makes no sense here. */
  | 'invalidServiceActionKey'
  /** SPEC_I_PT names initiator ports where it must not, or such as are registered already. */
  | 'invalidInitiatorPorts'
  | 'invalidRelease'
  | 'insufficientRegistrationResources'

export type ReservationOutcome =
  | {
      readonly result: 'done'
      readonly state: ReservationState
      readonly notices: readonly ReservationNotice[]
      /** Registrants whose commands PREEMPT AND ABORT takes back before its status. */
      readonly abort: readonly RegistrantName[]
    }
  | { readonly result: ReservationRefusal }

type IscsiClient = Extract<ClientIdentity, { protocol: 'iscsi' }>

const CONFLICT = { result: 'conflict' } as const

/** One PERSISTENT RESERVE OUT against the state: what becomes of it, and who has to be told. SPC-5 §5.14. */
export function stepReservations(
  state: ReservationState,
  client: ClientIdentity,
  action: ReservationAction,
): ReservationOutcome {
  if (client.protocol !== 'iscsi') return CONFLICT
  const own = findRegistration(state, registrantNames(client))
  if (action.do === 'register' || action.do === 'registerAndIgnoreExistingKey') {
    if (action.do === 'register' && (own?.key ?? 0n) !== action.key) return CONFLICT
    return register(state, own, client, action)
  }
  if (own === undefined || own.key !== action.key) return CONFLICT
  const { registrant } = own
  switch (action.do) {
    case 'registerAndMove':
      return move(state, own, action)
    case 'reserve':
      return reserve(state, registrant, action.type)
    case 'release':
      return release(state, registrant, action.type)
    case 'clear':
      return clear(state, registrant)
    default:
      return preempt(state, registrant, action)
  }
}

function done(
  state: ReservationState,
  notices: readonly ReservationNotice[] = [],
  abort: readonly RegistrantName[] = [],
): ReservationOutcome {
  return { result: 'done', state, notices, abort }
}

function nextGeneration(state: ReservationState): number {
  return (state.generation + 1) >>> 0
}

function notify(
  registrations: readonly Registration[],
  kind: ReservationNotice['kind'],
  except: RegistrantName,
): ReservationNotice[] {
  return registrations
    .filter(registration => registration.registrant !== except)
    .map(registration => ({ registrant: registration.registrant, kind }))
}

type Register = Extract<ReservationAction, { do: 'register' | 'registerAndIgnoreExistingKey' }>

// SPC-5 table 67 and 68.
function register(
  state: ReservationState,
  own: Registration | undefined,
  client: IscsiClient,
  action: Register,
): ReservationOutcome {
  const { newKey, persist } = action
  const also = (action.do === 'register' ? action.also : undefined) ?? []
  if (own !== undefined && also.length > 0) return { result: 'invalidInitiatorPorts' }
  if (newKey === 0n) return own === undefined ? done(state) : unregister(state, own, persist)
  const tag = action.allTargetPorts === true ? null : client.targetPortalGroupTag
  const added = also.map(port => registrationOfPort(port, tag, newKey))
  const names = added.flatMap(port => [port.registrant, registrantName(port, null)])
  const isWidened = own !== undefined && own.targetPortalGroupTag === null
  const wanted = registrationOfPort(client, isWidened ? null : tag, newKey)
  const isTwice = new Set([...added, wanted].map(({ registrant }) => registrant)).size <= added.length
  if (isTwice || findRegistration(state, names) !== undefined) return { result: 'invalidInitiatorPorts' }
  const registrations = [...withRegistration(state, own, wanted), ...added]
  if (registrations.length > REGISTRATIONS_MAX) return { result: 'insufficientRegistrationResources' }
  return done({
    ...state,
    generation: nextGeneration(state),
    persistsThroughPowerLoss: persist,
    registrations,
    reservation: renamed(state.reservation, own, wanted),
  })
}

function registrationOfPort(
  { initiatorName, isid }: InitiatorPort,
  targetPortalGroupTag: number | null,
  key: bigint,
): Registration {
  const registrant = registrantName({ initiatorName, isid }, targetPortalGroupTag)
  return { registrant, initiatorName, isid, targetPortalGroupTag, key }
}

/** `wanted` in the place of `own`; through every target port it takes in what the port had through single ones. */
function withRegistration(
  state: ReservationState,
  own: Registration | undefined,
  wanted: Registration,
): readonly Registration[] {
  const replaced = state.registrations.map(registration => (registration === own ? wanted : registration))
  const all = own === undefined ? [...replaced, wanted] : replaced
  if (wanted.targetPortalGroupTag !== null) return all
  const isTakenIn = (other: Registration) =>
    other !== wanted && other.initiatorName === wanted.initiatorName && other.isid === wanted.isid
  return all.filter(registration => !isTakenIn(registration))
}

/** A reservation held by `own`, or by what `wanted` took in, is held by `wanted`. */
function renamed(
  reservation: Reservation | null,
  own: Registration | undefined,
  wanted: Registration,
): Reservation | null {
  if (reservation === null || reservation.holder === null) return reservation
  const port = registrantName(wanted, null)
  const isOfPort = wanted.targetPortalGroupTag === null && reservation.holder.startsWith(`${port},t,`)
  const isOwn = reservation.holder === own?.registrant
  return isOwn || isOfPort ? { ...reservation, holder: wanted.registrant } : reservation
}

type Move = Extract<ReservationAction, { do: 'registerAndMove' }>

// SPC-5 §5.14.8. Where the destination is registered already its key becomes the new one.
function move(state: ReservationState, own: Registration, action: Move): ReservationOutcome {
  const { reservation } = state
  if (reservation === null || reservation.holder !== own.registrant) return CONFLICT
  if (action.newKey === 0n) return { result: 'invalidServiceActionKey' }
  const names = [registrantName(action.to, action.targetPortalGroupTag), registrantName(action.to, null)]
  const destination = findRegistration(state, names)
  if (destination === own || names.includes(own.registrant)) return { result: 'invalidInitiatorPorts' }
  const tag = destination === undefined ? action.targetPortalGroupTag : destination.targetPortalGroupTag
  const wanted = registrationOfPort(action.to, tag, action.newKey)
  const registrations = withRegistration(state, destination, wanted).filter(
    registration => !(action.unregister && registration === own),
  )
  if (registrations.length > REGISTRATIONS_MAX) return { result: 'insufficientRegistrationResources' }
  return done({
    generation: nextGeneration(state),
    persistsThroughPowerLoss: action.persist,
    registrations,
    reservation: { ...reservation, holder: wanted.registrant },
  })
}

// SPC-5 §5.14.11.3: a holder that leaves takes its reservation along; all registrants hold it to the last one.
function unregister(state: ReservationState, own: Registration, persist: boolean): ReservationOutcome {
  const registrations = state.registrations.filter(registration => registration !== own)
  const { reservation } = state
  const released =
    reservation !== null &&
    (reservation.holder === null ? registrations.length === 0 : reservation.holder === own.registrant)
  return done(
    {
      generation: nextGeneration(state),
      persistsThroughPowerLoss: persist,
      registrations,
      reservation: released ? null : reservation,
    },
    released && hasManyRegistrants(reservation.type)
      ? notify(registrations, 'reservationsReleased', own.registrant)
      : [],
  )
}

/** Registrants-only and all-registrants types: others lose something with the release, and are told. */
function hasManyRegistrants(type: ReservationType): boolean {
  return type >= 5
}

function reservationOf(registrant: RegistrantName, type: ReservationType): Reservation {
  return { type, holder: isAllRegistrants(type) ? null : registrant }
}

function reserve(
  state: ReservationState,
  registrant: RegistrantName,
  type: ReservationType,
): ReservationOutcome {
  if (state.reservation === null) {
    return done({ ...state, reservation: reservationOf(registrant, type) })
  }
  const same = holdsReservation(state, registrant) && state.reservation.type === type
  return same ? done(state) : CONFLICT
}

function release(
  state: ReservationState,
  registrant: RegistrantName,
  type: ReservationType,
): ReservationOutcome {
  if (state.reservation === null || !holdsReservation(state, registrant)) return done(state)
  if (state.reservation.type !== type) return { result: 'invalidRelease' }
  return done(
    { ...state, reservation: null },
    hasManyRegistrants(type) ? notify(state.registrations, 'reservationsReleased', registrant) : [],
  )
}

function clear(state: ReservationState, registrant: RegistrantName): ReservationOutcome {
  return done(
    {
      ...NO_RESERVATIONS,
      generation: nextGeneration(state),
      persistsThroughPowerLoss: state.persistsThroughPowerLoss,
    },
    notify(state.registrations, 'reservationsPreempted', registrant),
  )
}

type Preempt = Extract<ReservationAction, { do: 'preempt' | 'preemptAndAbort' }>

// SPC-5 §5.14.11.4: whether the reservation itself changes hands depends on whose key is named.
function preempt(state: ReservationState, registrant: RegistrantName, action: Preempt): ReservationOutcome {
  const { reservation } = state
  const heldByAll = reservation !== null && reservation.holder === null
  if (action.victimKey === 0n && !heldByAll) return { result: 'invalidServiceActionKey' }

  const takesOver =
    reservation !== null &&
    (heldByAll
      ? action.victimKey === 0n
      : registrationOf(state, reservation.holder)?.key === action.victimKey)
  if (takesOver && action.type === null) return { result: 'invalidType' }
  const isVictim = (registration: Registration) => {
    if (takesOver && registration.registrant === registrant) return false
    return action.victimKey === 0n || registration.key === action.victimKey
  }
  const victims = state.registrations.filter(isVictim)
  if (victims.length === 0 && !takesOver) return CONFLICT

  const registrations = state.registrations.filter(registration => !isVictim(registration))
  const orphaned = heldByAll && registrations.length === 0
  const kept = orphaned ? null : reservation
  const released = takesOver && reservation.type !== action.type
  return done(
    {
      ...state,
      generation: nextGeneration(state),
      registrations,
      reservation: takesOver && action.type !== null ? reservationOf(registrant, action.type) : kept,
    },
    [
      ...notify(victims, 'registrationsPreempted', registrant),
      ...(released ? notify(registrations, 'reservationsReleased', registrant) : []),
    ],
    action.do === 'preemptAndAbort'
      ? victims.map(victim => victim.registrant).filter(victim => victim !== registrant)
      : [],
  )
}
