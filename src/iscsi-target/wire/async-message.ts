import {
  assertLayout,
  BHS_BYTES,
  FINAL_BIT,
  getLun,
  getResponseNumbers,
  type LunWords,
  putLun,
  putReserved,
  putResponseNumbers,
  putStart,
  type ResponseNumbers,
} from './bhs.ts'
import { Opcode, RESERVED_TAG } from './opcodes.ts'
import { getHalf, putHalf, putWord } from './words.ts'

/** Asynchronous Message, target to initiator. RFC 7143 §11.9. */
const ASYNC_MESSAGE_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  tag: 16,
  reserved20: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  event: 36,
  vendorCode: 37,
  parameter1: 38,
  parameter2: 40,
  parameter3: 42,
  reserved44: 44,
} as const
assertLayout(ASYNC_MESSAGE_AT, 4)

/** RFC 7143 §11.9.1. */
export const AsyncEvent = {
  scsi: 0,
  logoutRequested: 1,
  connectionDropped: 2,
  sessionDropped: 3,
  negotiationRequested: 4,
  tasksTerminated: 5,
  vendor: 255,
} as const

export interface AsyncMessageFields extends LunWords, ResponseNumbers {
  event: number
  vendorCode: number
  /** What the three parameters are depends on the event: CID, Time2Wait, Time2Retain, in seconds. */
  parameter1: number
  parameter2: number
  parameter3: number
}

export function encodeAsyncMessage(
  into: Buffer,
  at: number,
  fields: Readonly<AsyncMessageFields>,
  dataSegmentLength: number,
): void {
  putStart(into, at, Opcode.asyncMessage, FINAL_BIT, 0, 0, dataSegmentLength)
  putLun(into, at, fields)
  putWord(into, at + ASYNC_MESSAGE_AT.tag, RESERVED_TAG)
  putWord(into, at + ASYNC_MESSAGE_AT.reserved20, 0)
  putResponseNumbers(into, at, fields)
  into[at + ASYNC_MESSAGE_AT.event] = fields.event
  into[at + ASYNC_MESSAGE_AT.vendorCode] = fields.vendorCode
  putHalf(into, at + ASYNC_MESSAGE_AT.parameter1, fields.parameter1)
  putHalf(into, at + ASYNC_MESSAGE_AT.parameter2, fields.parameter2)
  putHalf(into, at + ASYNC_MESSAGE_AT.parameter3, fields.parameter3)
  putReserved(into, at, ASYNC_MESSAGE_AT.reserved44, BHS_BYTES)
}

export function decodeAsyncMessage(from: Buffer, at: number): AsyncMessageFields {
  const fields = {
    lunHigh: 0,
    lunLow: 0,
    statSn: 0,
    expCmdSn: 0,
    maxCmdSn: 0,
    event: from[at + ASYNC_MESSAGE_AT.event],
    vendorCode: from[at + ASYNC_MESSAGE_AT.vendorCode],
    parameter1: getHalf(from, at + ASYNC_MESSAGE_AT.parameter1),
    parameter2: getHalf(from, at + ASYNC_MESSAGE_AT.parameter2),
    parameter3: getHalf(from, at + ASYNC_MESSAGE_AT.parameter3),
  }
  getLun(from, at, fields)
  getResponseNumbers(from, at, fields)
  return fields
}
