import { assertLayout, BHS_BYTES, FINAL_BIT, putReserved, putStart } from './bhs.ts'
import { IMMEDIATE_BIT, Opcode, RESERVED_TAG } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import {
  BLANK_TAGGED_REQUEST,
  BLANK_TAGGED_RESPONSE,
  getTaggedRequest,
  getTaggedResponse,
  putTaggedRequest,
  putTaggedResponse,
  TAGGED_REQUEST_AT,
  TAGGED_RESPONSE_AT,
  type TaggedRequest,
  type TaggedResponse,
} from './tagged.ts'

/** NOP-Out, initiator to target. RFC 7143 §11.18. */
const NOP_OUT_AT = {
  opcode: 0,
  flags: 1,
  ...TAGGED_REQUEST_AT,
  reserved32: 32,
} as const
/** NOP-In, target to initiator. RFC 7143 §11.19. */
const NOP_IN_AT = {
  opcode: 0,
  flags: 1,
  ...TAGGED_RESPONSE_AT,
  reserved36: 36,
} as const
assertLayout(NOP_OUT_AT, 16)
assertLayout(NOP_IN_AT, 12)

/** `itt` is RESERVED_TAG when no answer is wanted, `ttt` when it answers no NOP-In. */
export interface NopOutFields extends TaggedRequest {
  immediate: boolean
}

/** `ttt` is RESERVED_TAG when no answer is wanted, `itt` when it answers no NOP-Out. */
export type NopInFields = TaggedResponse

export function blankNopOut(): NopOutFields {
  return { ...BLANK_TAGGED_REQUEST, ttt: RESERVED_TAG, immediate: false }
}

export function blankNopIn(): NopInFields {
  return { ...BLANK_TAGGED_RESPONSE, ttt: RESERVED_TAG }
}

const UNANSWERABLE = rejection(RejectReason.protocolError, 'NOP-Out without a tag that is not immediate')

export function decodeNopOut(from: Buffer, at: number, into: NopOutFields): PduRejection | null {
  into.immediate = (from[at] & IMMEDIATE_BIT) !== 0
  getTaggedRequest(from, at, into)
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
  putTaggedRequest(into, at, fields)
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
  putTaggedResponse(into, at, fields)
  putReserved(into, at, NOP_IN_AT.reserved36, BHS_BYTES)
}

export function decodeNopIn(from: Buffer, at: number, into: NopInFields): void {
  getTaggedResponse(from, at, into)
}
