import {
  assertLayout,
  BHS_BYTES,
  CONTINUE_BIT,
  FINAL_BIT,
  getLun,
  getRequestNumbers,
  getResponseNumbers,
  type LunWords,
  putLun,
  putRequestNumbers,
  putReserved,
  putResponseNumbers,
  putStart,
  type RequestNumbers,
  type ResponseNumbers,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import { getWord, putWord } from './words.ts'

/** Text Request, initiator to target. RFC 7143 §11.10. */
export const TEXT_REQUEST_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  ttt: 20,
  cmdSn: 24,
  expStatSn: 28,
  reserved32: 32,
} as const
/** Text Response, target to initiator. RFC 7143 §11.11. */
export const TEXT_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  ttt: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  reserved36: 36,
} as const
assertLayout(TEXT_REQUEST_AT, 16)
assertLayout(TEXT_RESPONSE_AT, 12)

interface TextFlags {
  /** F: the sender has no more to say. */
  final: boolean
  /** C: the text goes on in the next PDU. Never with F. */
  continued: boolean
}

export interface TextRequestFields extends TextFlags, LunWords, RequestNumbers {
  immediate: boolean
  itt: number
  /** RESERVED_TAG at the start of an exchange, later what the target gave. */
  ttt: number
}

export interface TextResponseFields extends TextFlags, LunWords, ResponseNumbers {
  itt: number
  /** RESERVED_TAG when the exchange ends here. */
  ttt: number
}

const FINAL_AND_CONTINUED = rejection(RejectReason.protocolError, 'Text PDU with F and C')

function flagBits(fields: Readonly<TextFlags>): number {
  return (fields.final ? FINAL_BIT : 0) | (fields.continued ? CONTINUE_BIT : 0)
}

export function decodeTextRequest(from: Buffer, at: number): TextRequestFields | PduRejection {
  const flags = from[at + TEXT_REQUEST_AT.flags]
  const fields = {
    immediate: (from[at] & IMMEDIATE_BIT) !== 0,
    final: (flags & FINAL_BIT) !== 0,
    continued: (flags & CONTINUE_BIT) !== 0,
    lunHigh: 0,
    lunLow: 0,
    itt: getWord(from, at + TEXT_REQUEST_AT.itt),
    ttt: getWord(from, at + TEXT_REQUEST_AT.ttt),
    cmdSn: 0,
    expStatSn: 0,
  }
  getLun(from, at, fields)
  getRequestNumbers(from, at, fields)
  return fields.final && fields.continued ? FINAL_AND_CONTINUED : fields
}

export function encodeTextRequest(
  into: Buffer,
  at: number,
  fields: Readonly<TextRequestFields>,
  dataSegmentLength: number,
): void {
  const opcode = Opcode.textRequest | (fields.immediate ? IMMEDIATE_BIT : 0)
  putStart(into, at, opcode, flagBits(fields), 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + TEXT_REQUEST_AT.itt, fields.itt)
  putWord(into, at + TEXT_REQUEST_AT.ttt, fields.ttt)
  putRequestNumbers(into, at, fields)
  putReserved(into, at, TEXT_REQUEST_AT.reserved32, BHS_BYTES)
}

export function encodeTextResponse(
  into: Buffer,
  at: number,
  fields: Readonly<TextResponseFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.textResponse, flagBits(fields), 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + TEXT_RESPONSE_AT.itt, fields.itt)
  putWord(into, at + TEXT_RESPONSE_AT.ttt, fields.ttt)
  putResponseNumbers(into, at, fields)
  putReserved(into, at, TEXT_RESPONSE_AT.reserved36, BHS_BYTES)
}

export function decodeTextResponse(from: Buffer, at: number): TextResponseFields | PduRejection {
  const flags = from[at + TEXT_RESPONSE_AT.flags]
  const fields = {
    final: (flags & FINAL_BIT) !== 0,
    continued: (flags & CONTINUE_BIT) !== 0,
    lunHigh: 0,
    lunLow: 0,
    itt: getWord(from, at + TEXT_RESPONSE_AT.itt),
    ttt: getWord(from, at + TEXT_RESPONSE_AT.ttt),
    statSn: 0,
    expCmdSn: 0,
    maxCmdSn: 0,
  }
  getLun(from, at, fields)
  getResponseNumbers(from, at, fields)
  return fields.final && fields.continued ? FINAL_AND_CONTINUED : fields
}
