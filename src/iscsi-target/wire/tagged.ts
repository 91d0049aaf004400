import {
  assertLayout,
  BHS_AT,
  getLun,
  getRequestNumbers,
  getResponseNumbers,
  type LunWords,
  putLun,
  putRequestNumbers,
  putReserved,
  putResponseNumbers,
  type RequestNumbers,
  type ResponseNumbers,
  WORD_BYTES,
} from './bhs.ts'
import { getWord, putWord } from './words.ts'

/** The middle of a header, from byte 8 on, as whole families of PDUs have it. RFC 7143 §11.2.1. */

/** NOP-Out and Text Request. */
export const TAGGED_REQUEST_AT = { lun: 8, itt: 16, ttt: 20, cmdSn: 24, expStatSn: 28 } as const
/** NOP-In, Text Response, Data-In and R2T. */
export const TAGGED_RESPONSE_AT = {
  lun: 8,
  itt: 16,
  ttt: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
} as const
/** Responses that repeat the tag of their request alone: LUN and bytes 20 to 23 are reserved. */
export const PLAIN_RESPONSE_AT = { itt: 16, reserved20: 20, statSn: 24, expCmdSn: 28, maxCmdSn: 32 } as const
assertLayout(TAGGED_REQUEST_AT, WORD_BYTES)
assertLayout(TAGGED_RESPONSE_AT, WORD_BYTES)
assertLayout(PLAIN_RESPONSE_AT, WORD_BYTES)

export interface TaggedRequest extends LunWords, RequestNumbers {
  itt: number
  ttt: number
}

export interface TaggedResponse extends LunWords, ResponseNumbers {
  itt: number
  ttt: number
}

export interface PlainResponse extends ResponseNumbers {
  itt: number
}

export const BLANK_TAGGED_REQUEST: Readonly<TaggedRequest> = {
  lunHigh: 0,
  lunLow: 0,
  itt: 0,
  ttt: 0,
  cmdSn: 0,
  expStatSn: 0,
}
export const BLANK_PLAIN_RESPONSE: Readonly<PlainResponse> = { itt: 0, statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
export const BLANK_TAGGED_RESPONSE: Readonly<TaggedResponse> = {
  ...BLANK_PLAIN_RESPONSE,
  lunHigh: 0,
  lunLow: 0,
  ttt: 0,
}

export function putTaggedRequest(into: Buffer, at: number, fields: Readonly<TaggedRequest>): void {
  putLun(into, at, fields)
  putWord(into, at + TAGGED_REQUEST_AT.itt, fields.itt)
  putWord(into, at + TAGGED_REQUEST_AT.ttt, fields.ttt)
  putRequestNumbers(into, at, fields)
}

export function getTaggedRequest(from: Buffer, at: number, into: TaggedRequest): void {
  getLun(from, at, into)
  into.itt = getWord(from, at + TAGGED_REQUEST_AT.itt)
  into.ttt = getWord(from, at + TAGGED_REQUEST_AT.ttt)
  getRequestNumbers(from, at, into)
}

export function putTaggedResponse(into: Buffer, at: number, fields: Readonly<TaggedResponse>): void {
  putLun(into, at, fields)
  putWord(into, at + TAGGED_RESPONSE_AT.itt, fields.itt)
  putWord(into, at + TAGGED_RESPONSE_AT.ttt, fields.ttt)
  putResponseNumbers(into, at, fields)
}

export function getTaggedResponse(from: Buffer, at: number, into: TaggedResponse): void {
  getLun(from, at, into)
  into.itt = getWord(from, at + TAGGED_RESPONSE_AT.itt)
  into.ttt = getWord(from, at + TAGGED_RESPONSE_AT.ttt)
  getResponseNumbers(from, at, into)
}

export function putPlainResponse(into: Buffer, at: number, fields: Readonly<PlainResponse>): void {
  putReserved(into, at, BHS_AT.lun, PLAIN_RESPONSE_AT.itt)
  putWord(into, at + PLAIN_RESPONSE_AT.itt, fields.itt)
  putWord(into, at + PLAIN_RESPONSE_AT.reserved20, 0)
  putResponseNumbers(into, at, fields)
}

export function getPlainResponse(from: Buffer, at: number, into: PlainResponse): void {
  into.itt = getWord(from, at + PLAIN_RESPONSE_AT.itt)
  getResponseNumbers(from, at, into)
}
