import { assertLayout, FINAL_BIT, putStart } from './bhs.ts'
import { Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import {
  BLANK_TAGGED_RESPONSE,
  getTaggedResponse,
  putTaggedResponse,
  TAGGED_RESPONSE_AT,
  type TaggedResponse,
} from './tagged.ts'
import { getWord, putWord } from './words.ts'

/** Ready To Transfer, target to initiator. RFC 7143 §11.8. */
const R2T_AT = {
  opcode: 0,
  flags: 1,
  ...TAGGED_RESPONSE_AT,
  r2tSn: 36,
  bufferOffset: 40,
  desiredLength: 44,
} as const
assertLayout(R2T_AT, 4)

export interface R2tFields extends TaggedResponse {
  r2tSn: number
  bufferOffset: number
  desiredLength: number
}

export function blankR2t(): R2tFields {
  return { ...BLANK_TAGGED_RESPONSE, r2tSn: 0, bufferOffset: 0, desiredLength: 0 }
}

/** `statSn` is the next one to be used; an R2T does not advance it. RFC 7143 §11.8.2. */
export function encodeR2t(into: Buffer, at: number, fields: Readonly<R2tFields>): void {
  putStart(into, at, Opcode.r2t, FINAL_BIT, 0, 0, 0)
  putTaggedResponse(into, at, fields)
  putWord(into, at + R2T_AT.r2tSn, fields.r2tSn)
  putWord(into, at + R2T_AT.bufferOffset, fields.bufferOffset)
  putWord(into, at + R2T_AT.desiredLength, fields.desiredLength)
}

const NOTHING_DESIRED = rejection(RejectReason.protocolError, 'R2T that asks for no data')

export function decodeR2t(from: Buffer, at: number, into: R2tFields): PduRejection | null {
  getTaggedResponse(from, at, into)
  into.r2tSn = getWord(from, at + R2T_AT.r2tSn)
  into.bufferOffset = getWord(from, at + R2T_AT.bufferOffset)
  into.desiredLength = getWord(from, at + R2T_AT.desiredLength)
  return into.desiredLength === 0 ? NOTHING_DESIRED : null
}
