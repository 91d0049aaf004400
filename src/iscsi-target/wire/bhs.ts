import { invariant } from '../../lib/invariant.ts'
import { IMMEDIATE_BIT, OPCODE_MASK } from './opcodes.ts'
import { getTriple, getWord, putWord } from './words.ts'

/** Basic Header Segment, RFC 7143 §11.2.1. */
export const BHS_BYTES = 48
export const BHS_AT = {
  opcode: 0,
  flags: 1,
  totalAhsLength: 4,
  dataSegmentLength: 5,
  lun: 8,
  itt: 16,
} as const

/** The F bit of most PDUs, and the 1 that the standard puts there in the others. */
export const FINAL_BIT = 0x80
/** The C bit of text and login PDUs. */
export const CONTINUE_BIT = 0x40

/** Sequence numbers at fixed places: what initiators send, what targets send. RFC 7143 §4.2.2. */
export const REQUEST_NUMBERS_AT = { cmdSn: 24, expStatSn: 28 } as const
const RESPONSE_NUMBERS_AT = { statSn: 24, expCmdSn: 28, maxCmdSn: 32 } as const

export const WORD_BYTES = 4
/** Segments end on a four-byte boundary. RFC 7143 §11.1. */
const PAD_BYTES = 4
export const AHS_BYTES_MAX = 255 * WORD_BYTES

/** Checked once when a wire file loads: fields ascend, and the last one ends inside the header. */
export function assertLayout(table: Readonly<Record<string, number>>, lastFieldBytes: number): void {
  let previous = -1
  for (const [field, at] of Object.entries(table)) {
    invariant(at > previous, `wire layout: ${field} comes after the field before it`)
    previous = at
  }
  invariant(previous + lastFieldBytes <= BHS_BYTES, 'wire layout: the last field ends inside the header')
}
assertLayout(BHS_AT, WORD_BYTES)
assertLayout(REQUEST_NUMBERS_AT, WORD_BYTES)
assertLayout(RESPONSE_NUMBERS_AT, WORD_BYTES)

export function opcodeOf(pdu: Buffer, at: number): number {
  return pdu[at] & OPCODE_MASK
}

export function isImmediate(pdu: Buffer, at: number): boolean {
  return (pdu[at] & IMMEDIATE_BIT) !== 0
}

/** Bytes of additional header segments, at most AHS_BYTES_MAX by the width of the field. */
export function ahsBytesOf(pdu: Buffer, at: number): number {
  return pdu[at + BHS_AT.totalAhsLength] * WORD_BYTES
}

/** Bytes of data without padding, below 16 MiB by the width of the field. */
export function dataSegmentBytesOf(pdu: Buffer, at: number): number {
  return getTriple(pdu, at + BHS_AT.dataSegmentLength)
}

export function ittOf(pdu: Buffer, at: number): number {
  return getWord(pdu, at + BHS_AT.itt)
}

export function paddedBytes(lengthBytes: number): number {
  return (lengthBytes + PAD_BYTES - 1) & -PAD_BYTES
}

/** Words 0 and 1 of a header: opcode and its first three flag bytes, AHS length (in bytes), data length. */
export function putStart(
  into: Buffer,
  at: number,
  opcode: number,
  flags: number,
  byte2: number,
  byte3: number,
  dataSegmentLength: number,
  ahsLength = 0,
): void {
  into[at] = opcode
  into[at + 1] = flags
  into[at + 2] = byte2
  into[at + 3] = byte3
  putWord(into, at + BHS_AT.totalAhsLength, ((ahsLength / WORD_BYTES) << 24) | dataSegmentLength)
}

/** StatSN, ExpCmdSN and MaxCmdSN, as every answer of a target carries them. */
export interface ResponseNumbers {
  statSn: number
  expCmdSn: number
  maxCmdSn: number
}

export function putResponseNumbers(into: Buffer, at: number, numbers: Readonly<ResponseNumbers>): void {
  putWord(into, at + RESPONSE_NUMBERS_AT.statSn, numbers.statSn)
  putWord(into, at + RESPONSE_NUMBERS_AT.expCmdSn, numbers.expCmdSn)
  putWord(into, at + RESPONSE_NUMBERS_AT.maxCmdSn, numbers.maxCmdSn)
}

export function getResponseNumbers(from: Buffer, at: number, into: ResponseNumbers): void {
  into.statSn = getWord(from, at + RESPONSE_NUMBERS_AT.statSn)
  into.expCmdSn = getWord(from, at + RESPONSE_NUMBERS_AT.expCmdSn)
  into.maxCmdSn = getWord(from, at + RESPONSE_NUMBERS_AT.maxCmdSn)
}

/** CmdSN and ExpStatSN, as most requests of an initiator carry them. */
export interface RequestNumbers {
  cmdSn: number
  expStatSn: number
}

export function putRequestNumbers(into: Buffer, at: number, numbers: Readonly<RequestNumbers>): void {
  putWord(into, at + REQUEST_NUMBERS_AT.cmdSn, numbers.cmdSn)
  putWord(into, at + REQUEST_NUMBERS_AT.expStatSn, numbers.expStatSn)
}

export function getRequestNumbers(from: Buffer, at: number, into: RequestNumbers): void {
  into.cmdSn = getWord(from, at + REQUEST_NUMBERS_AT.cmdSn)
  into.expStatSn = getWord(from, at + REQUEST_NUMBERS_AT.expStatSn)
}

/** The LUN field as two words; lun.ts gives them a meaning. */
export interface LunWords {
  lunHigh: number
  lunLow: number
}

export function putLun(into: Buffer, at: number, lun: Readonly<LunWords>): void {
  putWord(into, at + BHS_AT.lun, lun.lunHigh)
  putWord(into, at + BHS_AT.lun + WORD_BYTES, lun.lunLow)
}

export function getLun(from: Buffer, at: number, into: LunWords): void {
  into.lunHigh = getWord(from, at + BHS_AT.lun)
  into.lunLow = getWord(from, at + BHS_AT.lun + WORD_BYTES)
}

/** Zeroes for reserved words `[first, end)`; headers are built in reused memory. */
export function putReserved(into: Buffer, at: number, first: number, end: number): void {
  for (let i = at + first; i < at + end; i++) into[i] = 0
}
