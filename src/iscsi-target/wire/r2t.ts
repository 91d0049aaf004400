import {
  assertLayout,
  FINAL_BIT,
  getLun,
  getResponseNumbers,
  type LunWords,
  putLun,
  putResponseNumbers,
  putStart,
  type ResponseNumbers,
} from './bhs.ts'
import { Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import { getWord, putWord } from './words.ts'

/** Ready To Transfer, target to initiator. RFC 7143 §11.8. */
export const R2T_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  ttt: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  r2tSn: 36,
  bufferOffset: 40,
  desiredLength: 44,
} as const
assertLayout(R2T_AT, 4)

export interface R2tFields extends LunWords, ResponseNumbers {
  itt: number
  ttt: number
  r2tSn: number
  bufferOffset: number
  desiredLength: number
}

export function blankR2t(): R2tFields {
  return {
    lunHigh: 0,
    lunLow: 0,
    itt: 0,
    ttt: 0,
    statSn: 0,
    expCmdSn: 0,
    maxCmdSn: 0,
    r2tSn: 0,
    bufferOffset: 0,
    desiredLength: 0,
  }
}

/** `statSn` is the next one to be used; an R2T does not advance it. RFC 7143 §11.8.2. */
export function encodeR2t(into: Buffer, at: number, fields: Readonly<R2tFields>): void {
  putStart(into, at, Opcode.r2t, FINAL_BIT, 0, 0, 0)
  putLun(into, at, fields)
  putWord(into, at + R2T_AT.itt, fields.itt)
  putWord(into, at + R2T_AT.ttt, fields.ttt)
  putResponseNumbers(into, at, fields)
  putWord(into, at + R2T_AT.r2tSn, fields.r2tSn)
  putWord(into, at + R2T_AT.bufferOffset, fields.bufferOffset)
  putWord(into, at + R2T_AT.desiredLength, fields.desiredLength)
}

const NOTHING_DESIRED = rejection(RejectReason.protocolError, 'R2T that asks for no data')

export function decodeR2t(from: Buffer, at: number, into: R2tFields): PduRejection | null {
  getLun(from, at, into)
  into.itt = getWord(from, at + R2T_AT.itt)
  into.ttt = getWord(from, at + R2T_AT.ttt)
  getResponseNumbers(from, at, into)
  into.r2tSn = getWord(from, at + R2T_AT.r2tSn)
  into.bufferOffset = getWord(from, at + R2T_AT.bufferOffset)
  into.desiredLength = getWord(from, at + R2T_AT.desiredLength)
  return into.desiredLength === 0 ? NOTHING_DESIRED : null
}
