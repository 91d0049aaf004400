import {
  assertLayout,
  BHS_AT,
  BHS_BYTES,
  FINAL_BIT,
  getResponseNumbers,
  putReserved,
  putResponseNumbers,
  putStart,
  type ResponseNumbers,
} from './bhs.ts'
import { Opcode, RESERVED_TAG } from './opcodes.ts'
import { PLAIN_RESPONSE_AT } from './tagged.ts'
import { getWord, putWord } from './words.ts'

/** Reject, target to initiator; the refused header is its data segment. RFC 7143 §11.17. */
const REJECT_AT = {
  opcode: 0,
  flags: 1,
  reason: 2,
  ...PLAIN_RESPONSE_AT,
  dataSn: 36,
  reserved40: 40,
} as const
assertLayout(REJECT_AT, 8)

export interface RejectFields extends ResponseNumbers {
  reason: number
  /** DataSN or R2TSN, meaningful for data digest and SNACK rejections alone. RFC 7143 §11.17.3. */
  dataSn: number
}

/** Header at `at` and data segment (the refused BHS) at `dataAt`, BHS_BYTES each. */
export function encodeReject(
  into: Buffer,
  at: number,
  dataAt: number,
  fields: Readonly<RejectFields>,
  refused: Buffer,
  refusedAt: number,
): void {
  putStart(into, at, Opcode.reject, FINAL_BIT, fields.reason, 0, BHS_BYTES)
  putReserved(into, at, BHS_AT.lun, REJECT_AT.itt)
  putWord(into, at + REJECT_AT.itt, RESERVED_TAG)
  putWord(into, at + REJECT_AT.reserved20, 0)
  putResponseNumbers(into, at, fields)
  putWord(into, at + REJECT_AT.dataSn, fields.dataSn)
  putReserved(into, at, REJECT_AT.reserved40, BHS_BYTES)
  refused.copy(into, dataAt, refusedAt, refusedAt + BHS_BYTES)
}

export function decodeReject(from: Buffer, at: number): RejectFields {
  const fields = {
    reason: from[at + REJECT_AT.reason],
    statSn: 0,
    expCmdSn: 0,
    maxCmdSn: 0,
    dataSn: getWord(from, at + REJECT_AT.dataSn),
  }
  getResponseNumbers(from, at, fields)
  return fields
}
