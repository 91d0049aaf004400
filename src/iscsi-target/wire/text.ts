import {
  assertLayout,
  BHS_BYTES,
  CONTINUE_BIT,
  FINAL_BIT,
  isImmediate,
  putReserved,
  putStart,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
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

/** Text Request, initiator to target. RFC 7143 §11.10. */
const TEXT_REQUEST_AT = {
  opcode: 0,
  flags: 1,
  ...TAGGED_REQUEST_AT,
  reserved32: 32,
} as const
/** Text Response, target to initiator. RFC 7143 §11.11. */
const TEXT_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  ...TAGGED_RESPONSE_AT,
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

/** `ttt` is RESERVED_TAG at the start of an exchange, later what the target gave. */
export interface TextRequestFields extends TextFlags, TaggedRequest {
  immediate: boolean
}

/** `ttt` is RESERVED_TAG when the exchange ends here. */
export interface TextResponseFields extends TextFlags, TaggedResponse {}

const FINAL_AND_CONTINUED = rejection(RejectReason.protocolError, 'Text PDU with F and C')

function decodeFlags(flags: number): TextFlags {
  return { final: (flags & FINAL_BIT) !== 0, continued: (flags & CONTINUE_BIT) !== 0 }
}

function flagBits(fields: Readonly<TextFlags>): number {
  return (fields.final ? FINAL_BIT : 0) | (fields.continued ? CONTINUE_BIT : 0)
}

export function decodeTextRequest(from: Buffer, at: number): TextRequestFields | PduRejection {
  const flags = decodeFlags(from[at + TEXT_REQUEST_AT.flags])
  const fields = { ...BLANK_TAGGED_REQUEST, ...flags, immediate: isImmediate(from, at) }
  getTaggedRequest(from, at, fields)
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
  putTaggedRequest(into, at, fields)
  putReserved(into, at, TEXT_REQUEST_AT.reserved32, BHS_BYTES)
}

export function encodeTextResponse(
  into: Buffer,
  at: number,
  fields: Readonly<TextResponseFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.textResponse, flagBits(fields), 0, 0, dataSegmentLength)
  putTaggedResponse(into, at, fields)
  putReserved(into, at, TEXT_RESPONSE_AT.reserved36, BHS_BYTES)
}

export function decodeTextResponse(from: Buffer, at: number): TextResponseFields | PduRejection {
  const fields = { ...BLANK_TAGGED_RESPONSE, ...decodeFlags(from[at + TEXT_RESPONSE_AT.flags]) }
  getTaggedResponse(from, at, fields)
  return fields.final && fields.continued ? FINAL_AND_CONTINUED : fields
}
