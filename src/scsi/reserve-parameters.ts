import type { InitiatorPort } from '../volume/reservations/reservation-state.ts'
import { Sense, type SenseCode } from './sense.ts'
import { decodeTransportId, decodeTransportIds } from './transport-id.ts'

/** Basic PERSISTENT RESERVE OUT parameter list. SPC-5 §6.17.3. */
export const BASIC_LIST_BYTES = 24
export const RESERVE_LIST_AT = { reservationKey: 0, serviceActionReservationKey: 8, flags: 20 } as const
const PORTS_LENGTH_AT = 24
const PORTS_AT = 28
const SPEC_I_PT = 0x08
const ALL_TG_PT = 0x04
const APTPL = 0x01

/** Longest list with TransportIDs that is looked at: some sixty of the longest names. */
export const RESERVE_LIST_BYTES_MAX = 16 * 1024

export interface ReserveParameters {
  readonly key: bigint
  readonly serviceActionKey: bigint
  readonly persist: boolean
  readonly allTargetPorts: boolean
  /** SPEC_I_PT is set. */
  readonly namesPorts: boolean
  readonly ports: readonly InitiatorPort[]
}

export interface MoveParameters {
  readonly key: bigint
  readonly serviceActionKey: bigint
  readonly persist: boolean
  readonly unregister: boolean
  readonly targetPort: number
  readonly to: InitiatorPort
}

/** `byte` of the list is at fault, where one is. */
export interface RefusedList {
  readonly refused: SenseCode
  readonly byte?: number
}

const LENGTH_ERROR: RefusedList = { refused: Sense.parameterListLengthError }

/** The list of every service action but REGISTER AND MOVE. TransportIDs follow with SPEC_I_PT, in REGISTER alone. */
export function decodeReserveParameters(list: Buffer, takesPorts: boolean): ReserveParameters | RefusedList {
  if (list.length < BASIC_LIST_BYTES) return LENGTH_ERROR
  const flags = list[RESERVE_LIST_AT.flags]!
  const namesPorts = (flags & SPEC_I_PT) !== 0
  const ports = namesPorts && takesPorts ? decodePorts(list) : []
  if ('refused' in ports) return ports
  if (!namesPorts && list.length !== BASIC_LIST_BYTES) return LENGTH_ERROR
  return {
    key: list.readBigUInt64BE(RESERVE_LIST_AT.reservationKey),
    serviceActionKey: list.readBigUInt64BE(RESERVE_LIST_AT.serviceActionReservationKey),
    persist: (flags & APTPL) !== 0,
    allTargetPorts: (flags & ALL_TG_PT) !== 0,
    namesPorts,
    ports,
  }
}

function decodePorts(list: Buffer): readonly InitiatorPort[] | RefusedList {
  if (list.length < PORTS_AT) return LENGTH_ERROR
  const end = PORTS_AT + list.readUInt32BE(PORTS_LENGTH_AT)
  if (end !== list.length) return LENGTH_ERROR
  const ports = decodeTransportIds(list.subarray(PORTS_AT, end))
  return ports ?? { refused: Sense.invalidFieldInParameterList, byte: PORTS_AT }
}

/** REGISTER AND MOVE's list. */
export const MOVE_AT = {
  reservationKey: 0,
  serviceActionReservationKey: 8,
  flags: 17,
  relativeTargetPort: 18,
  transportIdLength: 20,
  transportId: 24,
} as const
const UNREG = 0x02

/** SPC-5 §6.17.4. */
export function decodeMoveParameters(list: Buffer): MoveParameters | RefusedList {
  if (list.length < MOVE_AT.transportId) return LENGTH_ERROR
  const transportIdBytes = list.readUInt32BE(MOVE_AT.transportIdLength)
  if (MOVE_AT.transportId + transportIdBytes !== list.length) return LENGTH_ERROR
  const decoded = decodeTransportId(list.subarray(MOVE_AT.transportId))
  if (decoded === null || decoded.lengthBytes !== transportIdBytes) {
    return { refused: Sense.invalidFieldInParameterList, byte: MOVE_AT.transportId }
  }
  const flags = list[MOVE_AT.flags]!
  return {
    key: list.readBigUInt64BE(MOVE_AT.reservationKey),
    serviceActionKey: list.readBigUInt64BE(MOVE_AT.serviceActionReservationKey),
    persist: (flags & APTPL) !== 0,
    unregister: (flags & UNREG) !== 0,
    targetPort: list.readUInt16BE(MOVE_AT.relativeTargetPort),
    to: decoded.port,
  }
}
