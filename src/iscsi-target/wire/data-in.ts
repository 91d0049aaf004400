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

/** SCSI Data-In, target to initiator. RFC 7143 §11.7. */
const DATA_IN_AT = {
  opcode: 0,
  flags: 1,
  status: 3,
  ...TAGGED_RESPONSE_AT,
  dataSn: 36,
  bufferOffset: 40,
  residual: 44,
} as const
assertLayout(DATA_IN_AT, 4)

/** Besides F and the residual bits of a SCSI Response. RFC 7143 §11.7.2, §11.7.3. */
export const DATA_IN_STATUS_BIT = 0x01
const FLAGS_MASK = 0xc7

/** `ttt` is RESERVED_TAG unless an acknowledgement is asked for. */
export interface DataInFields extends TaggedResponse {
  /** FINAL_BIT, DATA_IN_ACKNOWLEDGE_BIT, DATA_IN_STATUS_BIT, residual bits. */
  flags: number
  /** Only with DATA_IN_STATUS_BIT, as is statSn. */
  status: number
  dataSn: number
  bufferOffset: number
  residual: number
}

export function blankDataIn(): DataInFields {
  return { ...BLANK_TAGGED_RESPONSE, flags: 0, status: 0, dataSn: 0, bufferOffset: 0, residual: 0 }
}

export function encodeDataIn(
  into: Buffer,
  at: number,
  fields: Readonly<DataInFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.dataIn, fields.flags, 0, fields.status, dataSegmentLength)
  putTaggedResponse(into, at, fields)
  putWord(into, at + DATA_IN_AT.dataSn, fields.dataSn)
  putWord(into, at + DATA_IN_AT.bufferOffset, fields.bufferOffset)
  putWord(into, at + DATA_IN_AT.residual, fields.residual)
}

const STATUS_NOT_FINAL = rejection(RejectReason.protocolError, 'Data-In with status but without F')

export function decodeDataIn(from: Buffer, at: number, into: DataInFields): PduRejection | null {
  into.flags = from[at + DATA_IN_AT.flags] & FLAGS_MASK
  into.status = from[at + DATA_IN_AT.status]
  getTaggedResponse(from, at, into)
  into.dataSn = getWord(from, at + DATA_IN_AT.dataSn)
  into.bufferOffset = getWord(from, at + DATA_IN_AT.bufferOffset)
  into.residual = getWord(from, at + DATA_IN_AT.residual)
  return (into.flags & (DATA_IN_STATUS_BIT | FINAL_BIT)) === DATA_IN_STATUS_BIT ? STATUS_NOT_FINAL : null
}
