import {
  assertLayout,
  BHS_BYTES,
  FINAL_BIT,
  getLun,
  getRequestNumbers,
  type LunWords,
  putLun,
  putRequestNumbers,
  putStart,
  type RequestNumbers,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './rejection.ts'
import { getWord, putWord } from './words.ts'

/** SCSI Command, initiator to target. RFC 7143 §11.3. */
export const SCSI_COMMAND_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  expectedLength: 20,
  cmdSn: 24,
  expStatSn: 28,
  cdb: 32,
} as const
const CDB_BYTES = 16
assertLayout(SCSI_COMMAND_AT, CDB_BYTES)

const SCSI_COMMAND_READ_BIT = 0x40
const SCSI_COMMAND_WRITE_BIT = 0x20
const ATTRIBUTE_MASK = 0x07
const ATTRIBUTE_MAX = 4

export interface ScsiCommandFields extends LunWords, RequestNumbers {
  immediate: boolean
  /** F: no unsolicited Data-Out follows this PDU. */
  final: boolean
  read: boolean
  write: boolean
  /** TaskAttribute of src/scsi/scsi-command.ts. */
  attribute: number
  itt: number
  /** Expected Data Transfer Length: of the write when both directions are asked for. */
  expectedLength: number
}

export function blankScsiCommand(): ScsiCommandFields {
  return {
    immediate: false,
    final: true,
    read: false,
    write: false,
    attribute: 0,
    lunHigh: 0,
    lunLow: 0,
    itt: 0,
    expectedLength: 0,
    cmdSn: 0,
    expStatSn: 0,
  }
}

const NOT_FINAL = rejection(RejectReason.invalidPduField, 'SCSI Command without F that writes nothing')
const BAD_ATTRIBUTE = rejection(RejectReason.invalidPduField, 'SCSI Command with a reserved task attribute')

/** The first 16 CDB bytes are at SCSI_COMMAND_AT.cdb; the AHS has its own decoder. */
export function decodeScsiCommand(from: Buffer, at: number, into: ScsiCommandFields): PduRejection | null {
  const flags = from[at + SCSI_COMMAND_AT.flags]
  into.immediate = (from[at] & IMMEDIATE_BIT) !== 0
  into.final = (flags & FINAL_BIT) !== 0
  into.read = (flags & SCSI_COMMAND_READ_BIT) !== 0
  into.write = (flags & SCSI_COMMAND_WRITE_BIT) !== 0
  into.attribute = flags & ATTRIBUTE_MASK
  getLun(from, at, into)
  into.itt = getWord(from, at + SCSI_COMMAND_AT.itt)
  into.expectedLength = getWord(from, at + SCSI_COMMAND_AT.expectedLength)
  getRequestNumbers(from, at, into)
  if (!into.final && !into.write) return NOT_FINAL
  return into.attribute > ATTRIBUTE_MAX ? BAD_ATTRIBUTE : null
}

/** Writes the header; of `cdb` the first 16 bytes. `ahsLength` in bytes, a multiple of four. */
export function encodeScsiCommand(
  into: Buffer,
  at: number,
  fields: Readonly<ScsiCommandFields>,
  cdb: Buffer,
  dataSegmentLength: number,
  ahsLength = 0,
): void {
  const flags =
    (fields.final ? FINAL_BIT : 0) |
    (fields.read ? SCSI_COMMAND_READ_BIT : 0) |
    (fields.write ? SCSI_COMMAND_WRITE_BIT : 0) |
    fields.attribute
  const opcode = Opcode.scsiCommand | (fields.immediate ? IMMEDIATE_BIT : 0)
  putStart(into, at, opcode, flags, 0, 0, dataSegmentLength, ahsLength)
  putLun(into, at, fields)
  putWord(into, at + SCSI_COMMAND_AT.itt, fields.itt)
  putWord(into, at + SCSI_COMMAND_AT.expectedLength, fields.expectedLength)
  putRequestNumbers(into, at, fields)
  into.fill(0, at + SCSI_COMMAND_AT.cdb, at + BHS_BYTES)
  cdb.copy(into, at + SCSI_COMMAND_AT.cdb, 0, CDB_BYTES)
}
