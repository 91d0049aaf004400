import { ahsBytesOf, BHS_BYTES, paddedBytes } from './bhs.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import { getHalf, getWord, putHalf, putWord } from './words.ts'

/** Additional Header Segments of a SCSI Command, RFC 7143 §11.2.2. */
const AHS_AT = { length: 0, type: 2, reserved: 3, specific: 4 } as const
/** AHSLength leaves out the length and type bytes. §11.2.2.2. */
const AHS_UNCOUNTED_BYTES = 3

const AhsType = { extendedCdb: 1, bidirectionalReadLength: 2 } as const

/** CDB bytes in the BHS; the rest is in the extended CDB segment. §11.2.2.3. */
export const BHS_CDB_BYTES = 16
const EXTENDED_CDB_BYTES_MAX = 260 - BHS_CDB_BYTES
/** Reserved byte and four bytes of length. §11.2.2.4. */
const BIDIRECTIONAL_AHS_LENGTH = 5

/** Positions point into the same buffer as the PDU. */
export interface AhsFields {
  /** Where CDB bytes 16 and up are, or -1. */
  extendedCdbAt: number
  extendedCdbLength: number
  /** Bidirectional Read Expected Data Transfer Length, bytes, or -1. */
  bidirectionalReadLength: number
}

const BAD_LENGTH = rejection(RejectReason.invalidPduField, 'AHS length runs out of the header')
const BAD_TYPE = rejection(RejectReason.invalidPduField, 'AHS of an unknown type')
const REPEATED = rejection(RejectReason.protocolError, 'AHS of one type twice')

/** Reads the segments of the PDU at `at`, all of which must be in `from`. */
export function decodeAhs(from: Buffer, at: number, into: AhsFields): PduRejection | null {
  into.extendedCdbAt = -1
  into.extendedCdbLength = 0
  into.bidirectionalReadLength = -1
  const end = at + BHS_BYTES + ahsBytesOf(from, at)
  let segmentAt = at + BHS_BYTES
  while (segmentAt < end) {
    const length = getHalf(from, segmentAt + AHS_AT.length)
    const next = segmentAt + paddedBytes(length + AHS_UNCOUNTED_BYTES)
    if (length === 0 || next > end) return BAD_LENGTH
    const fault = decodeSegment(from, segmentAt, length, into)
    if (fault !== null) return fault
    segmentAt = next
  }
  return null
}

function decodeSegment(from: Buffer, at: number, length: number, into: AhsFields): PduRejection | null {
  switch (from[at + AHS_AT.type]) {
    case AhsType.extendedCdb:
      if (into.extendedCdbAt >= 0) return REPEATED
      if (length < 2 || length - 1 > EXTENDED_CDB_BYTES_MAX) return BAD_LENGTH
      into.extendedCdbAt = at + AHS_AT.specific
      into.extendedCdbLength = length - 1
      return null
    case AhsType.bidirectionalReadLength:
      if (into.bidirectionalReadLength >= 0) return REPEATED
      if (length !== BIDIRECTIONAL_AHS_LENGTH) return BAD_LENGTH
      into.bidirectionalReadLength = getWord(from, at + AHS_AT.specific)
      return null
    default:
      return BAD_TYPE
  }
}

/** Writes the segment for CDB bytes 16 and up; answers its padded length. */
export function encodeExtendedCdb(into: Buffer, at: number, cdb: Buffer): number {
  const extra = cdb.length - BHS_CDB_BYTES
  const segmentBytes = paddedBytes(AHS_AT.specific + extra)
  into.fill(0, at, at + segmentBytes)
  putHalf(into, at + AHS_AT.length, extra + 1)
  into[at + AHS_AT.type] = AhsType.extendedCdb
  cdb.copy(into, at + AHS_AT.specific, BHS_CDB_BYTES)
  return segmentBytes
}

/** Writes the segment for the read half of a bidirectional command; answers its length. */
export function encodeBidirectionalReadLength(into: Buffer, at: number, lengthBytes: number): number {
  putHalf(into, at + AHS_AT.length, BIDIRECTIONAL_AHS_LENGTH)
  into[at + AHS_AT.type] = AhsType.bidirectionalReadLength
  into[at + AHS_AT.reserved] = 0
  putWord(into, at + AHS_AT.specific, lengthBytes)
  return AHS_AT.specific + 4
}
