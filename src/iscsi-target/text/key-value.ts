import { type PduRejection, RejectReason, rejection } from '../wire/rejection.ts'

/** Text keys and values as they lie in login and text PDUs. RFC 7143 §6.1. */

const KEY_BYTES_MAX = 63
/** Of one value, unless its key says otherwise. */
export const VALUE_BYTES_MAX = 255
/** Of all PDUs of one sequence together: the least that the standard lets us take, and all that we take. */
export const TEXT_SEQUENCE_BYTES_MAX = 8192
/** The standards have about 40; answers to this many stay within one login response. */
const KEYS_PER_SEQUENCE_MAX = 64

const DELIMITER = 0x00
const EQUALS = 0x3d
const KEY = /^[A-Za-z][A-Za-z0-9.+@_#-]*$/

export interface KeyValue {
  readonly key: string
  readonly value: string
}

const UNTERMINATED = rejection(RejectReason.protocolError, 'text does not end with a NUL')
const WITHOUT_EQUALS = rejection(RejectReason.protocolError, 'text without an equals sign')
const BAD_KEY = rejection(RejectReason.protocolError, 'text key has a form that the standard does not allow')
const TOO_MANY_KEYS = rejection(RejectReason.protocolError, 'too many text keys')

/** Reads a whole sequence, in its order; repetitions are left in. */
export function parseKeyValues(text: Buffer): readonly KeyValue[] | PduRejection {
  const pairs: KeyValue[] = []
  let at = 0
  while (at < text.length) {
    const end = text.indexOf(DELIMITER, at)
    if (end < 0) return UNTERMINATED
    if (end > at) {
      const equals = text.indexOf(EQUALS, at)
      if (equals < 0 || equals > end) return WITHOUT_EQUALS
      const key = text.toString('latin1', at, equals)
      if (equals - at > KEY_BYTES_MAX || !KEY.test(key)) return BAD_KEY
      if (pairs.length === KEYS_PER_SEQUENCE_MAX) return TOO_MANY_KEYS
      pairs.push({ key, value: text.toString('utf8', equals + 1, end) })
    }
    at = end + 1
  }
  return pairs
}

export function encodeKeyValues(pairs: readonly KeyValue[]): Buffer {
  return Buffer.from(pairs.map(({ key, value }) => `${key}=${value}\0`).join(''))
}
