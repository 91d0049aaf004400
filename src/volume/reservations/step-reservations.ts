import type { ClientIdentity } from '../client-identity.ts'
import {
  findRegistration,
  holdsReservation,
  isAllRegistrants,
  NO_RESERVATIONS,
  REGISTRATIONS_MAX,
  type RegistrantName,
  type Registration,
  type Reservation,
  type ReservationState,
  type ReservationType,
  registrantOf,
} from './reservation-state.ts'

/** PERSISTENT RESERVE OUT without its wire form. `key` is the RESERVATION KEY. SPC-5 §6.17. */
export type ReservationAction =
  | { readonly do: 'register'; readonly key: bigint; readonly newKey: bigint; readonly persist: boolean }
  | { readonly do: 'registerAndIgnoreExistingKey'; readonly newKey: bigint; readonly persist: boolean }
  | { readonly do: 'reserve' | 'release'; readonly key: bigint; readonly type: ReservationType }
  | { readonly do: 'clear'; readonly key: bigint }
  | {
      readonly do: 'preempt' | 'preemptAndAbort'
      readonly key: bigint
      readonly victimKey: bigint
      /** null: not a type. Matters only when the reservation changes hands. */
      readonly type: ReservationType | null
    }

/** What another registrant is told, as a unit attention. SPC-5 §5.14.11. */
export interface ReservationNotice {
  readonly registrant: RegistrantName
  readonly kind: 'reservationsPreempted' | 'reservationsReleased' | 'registrationsPreempted'
}

export type ReservationRefusal =
  | 'conflict'
  | 'invalidType'
  | 'invalidVictimKey'
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

const CONFLICT = { result: 'conflict' } as const

/** One PERSISTENT RESERVE OUT against the state: what becomes of it, and who has to be told. SPC-5 §5.14. */
export function stepReservations(
  state: ReservationState,
  client: ClientIdentity,
  action: ReservationAction,
): ReservationOutcome {
  const registrant = registrantOf(client)
  if (registrant === null || client.protocol !== 'iscsi') return CONFLICT
  const own = findRegistration(state, registrant)
  if (action.do === 'register' || action.do === 'registerAndIgnoreExistingKey') {
    if (action.do === 'register' && (own?.key ?? 0n) !== action.key) return CONFLICT
    const { initiatorName, isid, targetPortalGroupTag } = client
    const wanted = { registrant, initiatorName, isid, targetPortalGroupTag, key: action.newKey }
    return register(state, own, wanted, action.persist)
  }
  if (own === undefined || own.key !== action.key) return CONFLICT
  switch (action.do) {
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

function register(
  state: ReservationState,
  own: Registration | undefined,
  wanted: Registration,
  persist: boolean,
): ReservationOutcome {
  if (wanted.key === 0n) return own === undefined ? done(state) : unregister(state, own, persist)
  if (own === undefined && state.registrations.length >= REGISTRATIONS_MAX) {
    return { result: 'insufficientRegistrationResources' }
  }
  return done({
    ...state,
    generation: nextGeneration(state),
    persistsThroughPowerLoss: persist,
    registrations:
      own === undefined
        ? [...state.registrations, wanted]
        : state.registrations.map(registration => (registration === own ? wanted : registration)),
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
  if (action.victimKey === 0n && !heldByAll) return { result: 'invalidVictimKey' }

  const takesOver =
    reservation !== null &&
    (heldByAll
      ? action.victimKey === 0n
      : findRegistration(state, reservation.holder)?.key === action.victimKey)
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
