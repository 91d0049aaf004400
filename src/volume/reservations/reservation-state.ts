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

/**
 * An I_T nexus in text: `iqn…,i,0x<isid>,t,0x<tag>`, or without the tag an initiator port through every target
 * port (ALL_TG_PT). RFC 7143 §4.2.7.2.
 */
export type RegistrantName = string

/** A SCSI initiator port by its name. */
export interface InitiatorPort {
  readonly initiatorName: string
  /** Twelve lower-case hex digits. */
  readonly isid: string
}

export interface Registration extends InitiatorPort {
  readonly registrant: RegistrantName
  /** null: through every target port. */
  readonly targetPortalGroupTag: number | null
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

/** The name of an initiator port through one target port, or through all of them. */
export function registrantName({ initiatorName, isid }: InitiatorPort, tag: number | null): RegistrantName {
  const port = `${initiatorName},i,0x${isid}`
  return tag === null ? port : `${port},t,0x${tag.toString(16).padStart(4, '0')}`
}

/** The names under which a client may be registered; none for one that cannot be (NBD: an unregistered nexus). */
export function registrantNames(client: ClientIdentity): readonly RegistrantName[] {
  if (client.protocol !== 'iscsi') return []
  return [registrantName(client, client.targetPortalGroupTag), registrantName(client, null)]
}

export function findRegistration(
  state: ReservationState,
  registrants: readonly RegistrantName[],
): Registration | undefined {
  return state.registrations.find(({ registrant }) => registrants.includes(registrant))
}

export function registrationOf(
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
  return registrationOf(state, registrant) !== undefined
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
  const registrants = registrantNames(client)
  if (type === ReservationType.writeExclusive || type === ReservationType.exclusiveAccess) {
    return holder !== null && registrants.includes(holder)
  }
  return findRegistration(state, registrants) !== undefined
}
