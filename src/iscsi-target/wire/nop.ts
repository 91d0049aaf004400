import {
  assertLayout,
  BHS_BYTES,
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
import { IMMEDIATE_BIT, Opcode, RESERVED_TAG } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import { getWord, putWord } from './words.ts'

/** NOP-Out, initiator to target. RFC 7143 §11.18. */
export const NOP_OUT_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  ttt: 20,
  cmdSn: 24,
  expStatSn: 28,
  reserved32: 32,
} as const
/** NOP-In, target to initiator. RFC 7143 §11.19. */
export const NOP_IN_AT = {
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
assertLayout(NOP_OUT_AT, 16)
assertLayout(NOP_IN_AT, 12)

export interface NopOutFields extends LunWords, RequestNumbers {
  immediate: boolean
  /** RESERVED_TAG: no answer is wanted. */
  itt: number
  /** Of the NOP-In that this answers; RESERVED_TAG otherwise. */
  ttt: number
}

export interface NopInFields extends LunWords, ResponseNumbers {
  /** Of the NOP-Out that this answers; RESERVED_TAG otherwise. */
  itt: number
  /** RESERVED_TAG: no answer is wanted. */
  ttt: number
}

export function blankNopOut(): NopOutFields {
  return { immediate: false, lunHigh: 0, lunLow: 0, itt: 0, ttt: RESERVED_TAG, cmdSn: 0, expStatSn: 0 }
}

export function blankNopIn(): NopInFields {
  return { lunHigh: 0, lunLow: 0, itt: 0, ttt: RESERVED_TAG, statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
}

const UNANSWERABLE = rejection(RejectReason.protocolError, 'NOP-Out without a tag that is not immediate')

export function decodeNopOut(from: Buffer, at: number, into: NopOutFields): PduRejection | null {
  into.immediate = (from[at] & IMMEDIATE_BIT) !== 0
  getLun(from, at, into)
  into.itt = getWord(from, at + NOP_OUT_AT.itt)
  into.ttt = getWord(from, at + NOP_OUT_AT.ttt)
  getRequestNumbers(from, at, into)
  return into.itt === RESERVED_TAG && !into.immediate ? UNANSWERABLE : null
}

export function encodeNopOut(
  into: Buffer,
  at: number,
  fields: Readonly<NopOutFields>,
  dataSegmentLength: number,
): void {
  const opcode = Opcode.nopOut | (fields.immediate ? IMMEDIATE_BIT : 0)
  putStart(into, at, opcode, FINAL_BIT, 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + NOP_OUT_AT.itt, fields.itt)
  putWord(into, at + NOP_OUT_AT.ttt, fields.ttt)
  putRequestNumbers(into, at, fields)
  putReserved(into, at, NOP_OUT_AT.reserved32, BHS_BYTES)
}

/** With itt RESERVED_TAG `statSn` is the next one and does not advance. RFC 7143 §11.19.2. */
export function encodeNopIn(
  into: Buffer,
  at: number,
  fields: Readonly<NopInFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.nopIn, FINAL_BIT, 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + NOP_IN_AT.itt, fields.itt)
  putWord(into, at + NOP_IN_AT.ttt, fields.ttt)
  putResponseNumbers(into, at, fields)
  putReserved(into, at, NOP_IN_AT.reserved36, BHS_BYTES)
}

export function decodeNopIn(from: Buffer, at: number, into: NopInFields): void {
  getLun(from, at, into)
  into.itt = getWord(from, at + NOP_IN_AT.itt)
  into.ttt = getWord(from, at + NOP_IN_AT.ttt)
  getResponseNumbers(from, at, into)
}
