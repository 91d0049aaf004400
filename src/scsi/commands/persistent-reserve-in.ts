import { causes } from '../../errors/causes.ts'
import { holdsReservation, type ReservationState } from '../../volume/reservations/reservation-state.ts'
import { USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { encodeTransportId } from '../transport-id.ts'

const HEADER_BYTES = 8
const ALL_TG_PT = 0x02
const R_HOLDER = 0x01

function withHeader(state: ReservationState, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(state.generation, 0)
  header.writeUInt32BE(body.length, 4)
  return Buffer.concat([header, body])
}

/** SPC-5 §6.16.2. */
function keys(state: ReservationState): Buffer {
  const list = Buffer.alloc(8 * state.registrations.length)
  state.registrations.forEach(({ key }, index) => {
    list.writeBigUInt64BE(key, 8 * index)
  })
  return withHeader(state, list)
}

/** SPC-5 §6.16.3. The key of an all registrants reservation is given as zero. */
function reservation(state: ReservationState): Buffer {
  if (state.reservation === null) return withHeader(state, Buffer.alloc(0))
  const { holder, type } = state.reservation
  const descriptor = Buffer.alloc(16)
  const key = state.registrations.find(({ registrant }) => registrant === holder)?.key ?? 0n
  descriptor.writeBigUInt64BE(key, 0)
  descriptor[13] = type
  return withHeader(state, descriptor)
}

const SIP_C = 0x08
const ATP_C = 0x04
const PTPL_C = 0x01
const TMV = 0x80
/** TEST UNIT READY is let through, MODE SENSE and the like are not. SPC-5 table 216. */
const ALLOW_COMMANDS = 0x20
const PTPL_A = 0x01
/** All six types. SPC-5 table 217. */
const TYPE_MASK = [0xea, 0x01] as const

/** SPC-5 §6.16.4. */
function capabilities(state: ReservationState): Buffer {
  const active = state.persistsThroughPowerLoss ? PTPL_A : 0
  return Buffer.of(0, 8, SIP_C | ATP_C | PTPL_C, TMV | ALLOW_COMMANDS | active, ...TYPE_MASK, 0, 0)
}

/** SPC-5 §6.16.5. */
function fullStatus(state: ReservationState): Buffer {
  const type = state.reservation?.type ?? 0
  const descriptors = state.registrations.flatMap(registration => {
    const transportId = encodeTransportId(registration)
    const descriptor = Buffer.alloc(24)
    descriptor.writeBigUInt64BE(registration.key, 0)
    const { registrant, targetPortalGroupTag } = registration
    const isHolder = holdsReservation(state, registrant)
    descriptor[12] = (isHolder ? R_HOLDER : 0) | (targetPortalGroupTag === null ? ALL_TG_PT : 0)
    if (isHolder) descriptor[13] = type
    descriptor.writeUInt16BE(targetPortalGroupTag ?? 0, 18)
    descriptor.writeUInt32BE(transportId.length, 20)
    return [descriptor, transportId]
  })
  return withHeader(state, Buffer.concat(descriptors))
}

function define(
  name: string,
  serviceAction: number,
  encode: (state: ReservationState) => Buffer,
): CommandDefinition {
  return {
    name: `PERSISTENT RESERVE IN, ${name}`,
    operationCode: 0x5e,
    serviceAction,
    usage: [0, 0, 0, 0, 0, 0, 0, ...USAGE_16, 0],
    reservation: 'all',
    unitReservation: 'none',
    withoutMedium: true,
    timeoutSeconds: 10,
    counts: 'other',
    begin: () => CommandPhase.ready,
    execute: task => {
      task.link.unit.volume.reservations.current().then(
        state => task.goodWith(encode(state), task.command.cdb.readUInt16BE(7)),
        () => task.fail(causes.ERR_BLOCK_UNAVAILABLE.sense),
      )
    },
  }
}

/** SPC-5 §6.16. */
export const persistentReserveInCommands: readonly CommandDefinition[] = [
  define('READ KEYS', 0x00, keys),
  define('READ RESERVATION', 0x01, reservation),
  define('REPORT CAPABILITIES', 0x02, capabilities),
  define('READ FULL STATUS', 0x03, fullStatus),
]
