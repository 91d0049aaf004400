import {
  assertLayout,
  BHS_AT,
  BHS_BYTES,
  FINAL_BIT,
  getRequestNumbers,
  isImmediate,
  putRequestNumbers,
  putReserved,
  putStart,
  type RequestNumbers,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import {
  BLANK_PLAIN_RESPONSE,
  getPlainResponse,
  PLAIN_RESPONSE_AT,
  type PlainResponse,
  putPlainResponse,
} from './tagged.ts'
import { getHalf, getWord, putHalf, putWord } from './words.ts'

/** Logout Request, initiator to target. RFC 7143 §11.14. */
const LOGOUT_REQUEST_AT = {
  opcode: 0,
  flags: 1,
  itt: 16,
  cid: 20,
  reserved22: 22,
  cmdSn: 24,
  expStatSn: 28,
  reserved32: 32,
} as const
/** Logout Response, target to initiator. RFC 7143 §11.15. */
const LOGOUT_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  response: 2,
  ...PLAIN_RESPONSE_AT,
  reserved36: 36,
  time2Wait: 40,
  time2Retain: 42,
  reserved44: 44,
} as const
assertLayout(LOGOUT_REQUEST_AT, 16)
assertLayout(LOGOUT_RESPONSE_AT, 4)

/** RFC 7143 §11.14.1. */
export const LogoutReason = { closeSession: 0, closeConnection: 1, removeForRecovery: 2 } as const
const REASON_MASK = 0x7f

/** RFC 7143 §11.15.1. */
export const LogoutResult = { closed: 0, cidNotFound: 1, recoveryNotSupported: 2, cleanupFailed: 3 } as const

export interface LogoutRequestFields extends RequestNumbers {
  immediate: boolean
  reason: number
  itt: number
  cid: number
}

export interface LogoutResponseFields extends PlainResponse {
  response: number
  /** Seconds. */
  time2Wait: number
  time2Retain: number
}

const BAD_REASON = rejection(RejectReason.invalidPduField, 'Logout Request for an unknown reason')

export function decodeLogoutRequest(from: Buffer, at: number): LogoutRequestFields | PduRejection {
  const fields = {
    immediate: isImmediate(from, at),
    reason: from[at + LOGOUT_REQUEST_AT.flags] & REASON_MASK,
    itt: getWord(from, at + LOGOUT_REQUEST_AT.itt),
    cid: getHalf(from, at + LOGOUT_REQUEST_AT.cid),
    cmdSn: 0,
    expStatSn: 0,
  }
  getRequestNumbers(from, at, fields)
  return fields.reason > LogoutReason.removeForRecovery ? BAD_REASON : fields
}

export function encodeLogoutRequest(into: Buffer, at: number, fields: Readonly<LogoutRequestFields>): void {
  const opcode = Opcode.logoutRequest | (fields.immediate ? IMMEDIATE_BIT : 0)
  putStart(into, at, opcode, FINAL_BIT | fields.reason, 0, 0, 0)
  putReserved(into, at, BHS_AT.lun, BHS_AT.itt)
  putWord(into, at + LOGOUT_REQUEST_AT.itt, fields.itt)
  putHalf(into, at + LOGOUT_REQUEST_AT.cid, fields.cid)
  putHalf(into, at + LOGOUT_REQUEST_AT.reserved22, 0)
  putRequestNumbers(into, at, fields)
  putReserved(into, at, LOGOUT_REQUEST_AT.reserved32, BHS_BYTES)
}

export function encodeLogoutResponse(into: Buffer, at: number, fields: Readonly<LogoutResponseFields>): void {
  putStart(into, at, Opcode.logoutResponse, FINAL_BIT, fields.response, 0, 0)
  putPlainResponse(into, at, fields)
  putWord(into, at + LOGOUT_RESPONSE_AT.reserved36, 0)
  putHalf(into, at + LOGOUT_RESPONSE_AT.time2Wait, fields.time2Wait)
  putHalf(into, at + LOGOUT_RESPONSE_AT.time2Retain, fields.time2Retain)
  putWord(into, at + LOGOUT_RESPONSE_AT.reserved44, 0)
}

export function decodeLogoutResponse(from: Buffer, at: number): LogoutResponseFields {
  const fields = {
    ...BLANK_PLAIN_RESPONSE,
    response: from[at + LOGOUT_RESPONSE_AT.response],
    time2Wait: getHalf(from, at + LOGOUT_RESPONSE_AT.time2Wait),
    time2Retain: getHalf(from, at + LOGOUT_RESPONSE_AT.time2Retain),
  }
  getPlainResponse(from, at, fields)
  return fields
}
