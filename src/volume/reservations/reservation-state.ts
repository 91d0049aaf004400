import type { ClientIdentity } from '../client-identity.ts'

/** Types of persistent reservation. SPC-5 §6.16.3.4. */
export const ReservationType = {
  writeExclusive: 1,
  exclusiveAccess: 3,
  writeExclusiveRegistrantsOnly: 5,
  exclusiveAccessRegistrantsOnly: 6,
  writeExclusiveAllRegistrants: 7,
  exclusiveAccessAllRegistrants: 8,
} as const
export type ReservationType = (typeof ReservationType)[keyof typeof ReservationType]

/** An I_T nexus in text: `iqn…,i,0x<isid>,t,0x<tag>`. Registrations are found by it. RFC 7143 §4.2.7.2. */
export type RegistrantName = string

export interface Registration {
  readonly registrant: RegistrantName
  readonly initiatorName: string
  readonly isid: string
  readonly targetPortalGroupTag: number
  readonly key: bigint
}

export interface Reservation {
  readonly type: ReservationType
  /** null: every registrant holds it (the two all-registrants types). */
  readonly holder: RegistrantName | null
}

/** Everything there is to know of a logical unit's persistent reservations. SPC-5 §5.14. */
export interface ReservationState {
  /** PRGENERATION; wraps at 32 bits. */
  readonly generation: number
  /** The last registration asked that all of this outlives a loss of power. */
  readonly persistsThroughPowerLoss: boolean
  readonly registrations: readonly Registration[]
  readonly reservation: Reservation | null
}

export const NO_RESERVATIONS: ReservationState = {
  generation: 0,
  persistsThroughPowerLoss: false,
  registrations: [],
  reservation: null,
}

/** Registrations that one volume takes; a further one is refused with INSUFFICIENT REGISTRATION RESOURCES. */
export const REGISTRATIONS_MAX = 256

/** The name under which a client registers, or null for one that cannot (NBD: an unregistered nexus). */
export function registrantOf(client: ClientIdentity): RegistrantName | null {
  if (client.protocol !== 'iscsi') return null
  const tag = client.targetPortalGroupTag.toString(16).padStart(4, '0')
  return `${client.initiatorName},i,0x${client.isid},t,0x${tag}`
}

export function findRegistration(
  state: ReservationState,
  registrant: RegistrantName | null,
): Registration | undefined {
  return state.registrations.find(registration => registration.registrant === registrant)
}

export function isAllRegistrants(type: ReservationType): boolean {
  return (
    type === ReservationType.writeExclusiveAllRegistrants ||
    type === ReservationType.exclusiveAccessAllRegistrants
  )
}

export function holdsReservation(state: ReservationState, registrant: RegistrantName): boolean {
  if (state.reservation === null) return false
  if (state.reservation.holder !== null) return state.reservation.holder === registrant
  return findRegistration(state, registrant) !== undefined
}

/** Whether a client may read (or write) under the reservation that stands. SPC-5 §5.14.1, table 72; SBC-4 table 13. */
export function isAccessPermitted(
  state: ReservationState,
  client: ClientIdentity,
  access: 'read' | 'write',
): boolean {
  if (state.reservation === null || client.protocol === 'internal') return true
  const { type, holder } = state.reservation
  const writeExclusive =
    type === ReservationType.writeExclusive ||
    type === ReservationType.writeExclusiveRegistrantsOnly ||
    type === ReservationType.writeExclusiveAllRegistrants
  if (writeExclusive && access === 'read') return true
  const registrant = registrantOf(client)
  if (type === ReservationType.writeExclusive || type === ReservationType.exclusiveAccess) {
    return registrant !== null && registrant === holder
  }
  return findRegistration(state, registrant) !== undefined
}
