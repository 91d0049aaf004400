import { assertLayout, FINAL_BIT, putStart } from './bhs.ts'
import { Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import {
  BLANK_PLAIN_RESPONSE,
  getPlainResponse,
  PLAIN_RESPONSE_AT,
  type PlainResponse,
  putPlainResponse,
} from './tagged.ts'
import { getWord, putWord } from './words.ts'

/** SCSI Response, target to initiator; no SNACK tag at ErrorRecoveryLevel 0. RFC 7143 §11.4. */
const SCSI_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  response: 2,
  status: 3,
  ...PLAIN_RESPONSE_AT,
  expDataSn: 36,
  bidirectionalResidual: 40,
  residual: 44,
} as const
assertLayout(SCSI_RESPONSE_AT, 4)

/** Residual flags, shared with Data-In. RFC 7143 §11.4.1. */
export const RESIDUAL_OVERFLOW_BIT = 0x04
export const RESIDUAL_UNDERFLOW_BIT = 0x02
/** With those of the read half of a bidirectional command. */
const FLAGS_MASK = 0x1e

/** RFC 7143 §11.4.3. */
const ScsiResponseCode = { commandCompleted: 0, targetFailure: 1 } as const

/** The two bytes in front of sense data in the data segment. RFC 7143 §11.4.7.1. */
export const SENSE_LENGTH_BYTES = 2

export interface ScsiResponseFields extends PlainResponse {
  /** Residual bits. */
  flags: number
  response: number
  status: number
  expDataSn: number
  bidirectionalResidual: number
  residual: number
}

export function blankScsiResponse(): ScsiResponseFields {
  return {
    ...BLANK_PLAIN_RESPONSE,
    flags: 0,
    response: ScsiResponseCode.commandCompleted,
    status: 0,
    expDataSn: 0,
    bidirectionalResidual: 0,
    residual: 0,
  }
}

export function encodeScsiResponse(
  into: Buffer,
  at: number,
  fields: Readonly<ScsiResponseFields>,
  dataSegmentLength: number,
): void {
  putStart(
    into,
    at,
    Opcode.scsiResponse,
    FINAL_BIT | fields.flags,
    fields.response,
    fields.status,
    dataSegmentLength,
  )
  putPlainResponse(into, at, fields)
  putWord(into, at + SCSI_RESPONSE_AT.expDataSn, fields.expDataSn)
  putWord(into, at + SCSI_RESPONSE_AT.bidirectionalResidual, fields.bidirectionalResidual)
  putWord(into, at + SCSI_RESPONSE_AT.residual, fields.residual)
}

const BOTH_RESIDUALS = rejection(RejectReason.protocolError, 'SCSI Response with overflow and underflow')
const BOTH_RESIDUAL_BITS = RESIDUAL_OVERFLOW_BIT | RESIDUAL_UNDERFLOW_BIT

export function decodeScsiResponse(from: Buffer, at: number, into: ScsiResponseFields): PduRejection | null {
  into.flags = from[at + SCSI_RESPONSE_AT.flags] & FLAGS_MASK
  into.response = from[at + SCSI_RESPONSE_AT.response]
  into.status = from[at + SCSI_RESPONSE_AT.status]
  getPlainResponse(from, at, into)
  into.expDataSn = getWord(from, at + SCSI_RESPONSE_AT.expDataSn)
  into.bidirectionalResidual = getWord(from, at + SCSI_RESPONSE_AT.bidirectionalResidual)
  into.residual = getWord(from, at + SCSI_RESPONSE_AT.residual)
  return (into.flags & BOTH_RESIDUAL_BITS) === BOTH_RESIDUAL_BITS ? BOTH_RESIDUALS : null
}
