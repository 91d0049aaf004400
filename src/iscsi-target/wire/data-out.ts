import { assertLayout, FINAL_BIT, getLun, type LunWords, putLun, putReserved, putStart } from './bhs.ts'
import { Opcode } from './opcodes.ts'
import { getWord, putWord } from './words.ts'

/** SCSI Data-Out, initiator to target. RFC 7143 §11.7. */
const DATA_OUT_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  ttt: 20,
  reserved24: 24,
  expStatSn: 28,
  reserved32: 32,
  dataSn: 36,
  bufferOffset: 40,
  reserved44: 44,
} as const
assertLayout(DATA_OUT_AT, 4)

export interface DataOutFields extends LunWords {
  final: boolean
  itt: number
  /** Of the R2T that this answers; RESERVED_TAG when unsolicited. */
  ttt: number
  expStatSn: number
  dataSn: number
  bufferOffset: number
}

export function blankDataOut(): DataOutFields {
  return { final: false, lunHigh: 0, lunLow: 0, itt: 0, ttt: 0, expStatSn: 0, dataSn: 0, bufferOffset: 0 }
}

/** Every bit pattern is a Data-Out; whether it fits its command is for the data path to say. */
export function decodeDataOut(from: Buffer, at: number, into: DataOutFields): void {
  into.final = (from[at + DATA_OUT_AT.flags] & FINAL_BIT) !== 0
  getLun(from, at, into)
  into.itt = getWord(from, at + DATA_OUT_AT.itt)
  into.ttt = getWord(from, at + DATA_OUT_AT.ttt)
  into.expStatSn = getWord(from, at + DATA_OUT_AT.expStatSn)
  into.dataSn = getWord(from, at + DATA_OUT_AT.dataSn)
  into.bufferOffset = getWord(from, at + DATA_OUT_AT.bufferOffset)
}

export function encodeDataOut(
  into: Buffer,
  at: number,
  fields: Readonly<DataOutFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.dataOut, fields.final ? FINAL_BIT : 0, 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + DATA_OUT_AT.itt, fields.itt)
  putWord(into, at + DATA_OUT_AT.ttt, fields.ttt)
  putReserved(into, at, DATA_OUT_AT.reserved24, DATA_OUT_AT.expStatSn)
  putWord(into, at + DATA_OUT_AT.expStatSn, fields.expStatSn)
  putReserved(into, at, DATA_OUT_AT.reserved32, DATA_OUT_AT.dataSn)
  putWord(into, at + DATA_OUT_AT.dataSn, fields.dataSn)
  putWord(into, at + DATA_OUT_AT.bufferOffset, fields.bufferOffset)
  putWord(into, at + DATA_OUT_AT.reserved44, 0)
}
