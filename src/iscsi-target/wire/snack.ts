import { assertLayout, FINAL_BIT, getLun, type LunWords, putLun, putReserved, putStart } from './bhs.ts'
import { Opcode } from './opcodes.ts'
import { getWord, putWord } from './words.ts'

/** SNACK Request, initiator to target. RFC 7143 §11.16. At ERL 0 it is only ever rejected. */
const SNACK_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  tag: 20,
  reserved24: 24,
  expStatSn: 28,
  reserved32: 32,
  begRun: 40,
  runLength: 44,
} as const
assertLayout(SNACK_AT, 4)

/** RFC 7143 §11.16.1. */
const TYPE_MASK = 0x0f

export interface SnackFields extends LunWords {
  type: number
  itt: number
  tag: number
  expStatSn: number
  begRun: number
  runLength: number
}

export function decodeSnack(from: Buffer, at: number): SnackFields {
  const fields = {
    type: from[at + SNACK_AT.flags] & TYPE_MASK,
    lunHigh: 0,
    lunLow: 0,
    itt: getWord(from, at + SNACK_AT.itt),
    tag: getWord(from, at + SNACK_AT.tag),
    expStatSn: getWord(from, at + SNACK_AT.expStatSn),
    begRun: getWord(from, at + SNACK_AT.begRun),
    runLength: getWord(from, at + SNACK_AT.runLength),
  }
  getLun(from, at, fields)
  return fields
}

export function encodeSnack(into: Buffer, at: number, fields: Readonly<SnackFields>): void {
  putStart(into, at, Opcode.snackRequest, FINAL_BIT | fields.type, 0, 0, 0)
  putLun(into, at, fields)
  putWord(into, at + SNACK_AT.itt, fields.itt)
  putWord(into, at + SNACK_AT.tag, fields.tag)
  putWord(into, at + SNACK_AT.reserved24, 0)
  putWord(into, at + SNACK_AT.expStatSn, fields.expStatSn)
  putReserved(into, at, SNACK_AT.reserved32, SNACK_AT.begRun)
  putWord(into, at + SNACK_AT.begRun, fields.begRun)
  putWord(into, at + SNACK_AT.runLength, fields.runLength)
}
