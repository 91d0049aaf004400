import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { ReservationState } from './reservation-state.ts'

const MAGIC = Buffer.from('HFPR', 'ascii')
const VERSION = 1
const HEADER_BYTES = MAGIC.length + 1

/** Magic, one byte of version, then JSON; keys are hex, since JSON has no 64-bit integers. */
export function encodeReservations(state: ReservationState): Buffer {
  const json = JSON.stringify(state, (_, value) => (typeof value === 'bigint' ? value.toString(16) : value))
  return Buffer.concat([MAGIC, Buffer.of(VERSION), Buffer.from(json, 'utf8')])
}

/** Throws ERR_METADATA_UNAVAILABLE on what this version did not write: reservations are never guessed. */
export function decodeReservations(bytes: Buffer): ReservationState {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes[MAGIC.length] !== VERSION) {
    throw new HoldfastError(
      'ERR_METADATA_UNAVAILABLE',
      'the stored reservations have a format that this version does not know',
    )
  }
  const state = JSON.parse(bytes.toString('utf8', HEADER_BYTES)) as ReservationState
  return {
    ...state,
    registrations: state.registrations.map(registration => ({
      ...registration,
      key: BigInt(`0x${registration.key}`),
    })),
  }
}
