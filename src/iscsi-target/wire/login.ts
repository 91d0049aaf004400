import {
  assertLayout,
  BHS_BYTES,
  CONTINUE_BIT,
  FINAL_BIT,
  getRequestNumbers,
  getResponseNumbers,
  putRequestNumbers,
  putReserved,
  putResponseNumbers,
  putStart,
  type RequestNumbers,
  type ResponseNumbers,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
import { getHalf, getWord, putHalf, putWord } from './words.ts'

/** Login Request, initiator to target. RFC 7143 §11.12. */
const LOGIN_REQUEST_AT = {
  opcode: 0,
  flags: 1,
  versionMax: 2,
  versionMin: 3,
  isid: 8,
  tsih: 14,
  itt: 16,
  cid: 20,
  reserved22: 22,
  cmdSn: 24,
  expStatSn: 28,
  reserved32: 32,
} as const
/** Login Response, target to initiator. RFC 7143 §11.13. */
const LOGIN_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  versionMax: 2,
  versionActive: 3,
  isid: 8,
  tsih: 14,
  itt: 16,
  reserved20: 20,
  statSn: 24,
  expCmdSn: 28,
  maxCmdSn: 32,
  statusClass: 36,
  statusDetail: 37,
  reserved38: 38,
} as const
assertLayout(LOGIN_REQUEST_AT, 16)
assertLayout(LOGIN_RESPONSE_AT, 10)

/** T shares its place with F. RFC 7143 §11.12.1. */
const TRANSIT_BIT = FINAL_BIT
const CSG_SHIFT = 2
const STAGE_MASK = 0x03

/** CSG and NSG; 2 is reserved. RFC 7143 §11.12.3. */
export const LoginStage = { security: 0, operational: 1, fullFeature: 3 } as const

const ISID_BYTES = 6

interface LoginFlags {
  transit: boolean
  continued: boolean
  csg: number
  nsg: number
  /** Twelve lower-case hex digits. */
  isid: string
  tsih: number
  itt: number
}

export interface LoginRequestFields extends LoginFlags, RequestNumbers {
  versionMax: number
  versionMin: number
  cid: number
}

export interface LoginResponseFields extends LoginFlags, ResponseNumbers {
  versionMax: number
  versionActive: number
  statusClass: number
  statusDetail: number
}

function flagBits(fields: Readonly<LoginFlags>): number {
  return (
    (fields.transit ? TRANSIT_BIT : 0) |
    (fields.continued ? CONTINUE_BIT : 0) |
    (fields.csg << CSG_SHIFT) |
    fields.nsg
  )
}

function decodeFlags(from: Buffer, at: number): LoginFlags {
  const flags = from[at + LOGIN_REQUEST_AT.flags]
  return {
    transit: (flags & TRANSIT_BIT) !== 0,
    continued: (flags & CONTINUE_BIT) !== 0,
    csg: (flags >>> CSG_SHIFT) & STAGE_MASK,
    nsg: flags & STAGE_MASK,
    isid: from.toString('hex', at + LOGIN_REQUEST_AT.isid, at + LOGIN_REQUEST_AT.isid + ISID_BYTES),
    tsih: getHalf(from, at + LOGIN_REQUEST_AT.tsih),
    itt: getWord(from, at + LOGIN_REQUEST_AT.itt),
  }
}

/** Stages and flags are taken as they are: the negotiation answers wrong ones with a login status. */
export function decodeLoginRequest(from: Buffer, at: number): LoginRequestFields {
  const fields = {
    ...decodeFlags(from, at),
    versionMax: from[at + LOGIN_REQUEST_AT.versionMax],
    versionMin: from[at + LOGIN_REQUEST_AT.versionMin],
    cid: getHalf(from, at + LOGIN_REQUEST_AT.cid),
    cmdSn: 0,
    expStatSn: 0,
  }
  getRequestNumbers(from, at, fields)
  return fields
}

export function encodeLoginRequest(
  into: Buffer,
  at: number,
  fields: Readonly<LoginRequestFields>,
  dataSegmentLength: number,
): void {
  const opcode = Opcode.loginRequest | IMMEDIATE_BIT
  putStart(into, at, opcode, flagBits(fields), fields.versionMax, fields.versionMin, dataSegmentLength)
  into.write(fields.isid, at + LOGIN_REQUEST_AT.isid, ISID_BYTES, 'hex')
  putHalf(into, at + LOGIN_REQUEST_AT.tsih, fields.tsih)
  putWord(into, at + LOGIN_REQUEST_AT.itt, fields.itt)
  putHalf(into, at + LOGIN_REQUEST_AT.cid, fields.cid)
  putHalf(into, at + LOGIN_REQUEST_AT.reserved22, 0)
  putRequestNumbers(into, at, fields)
  putReserved(into, at, LOGIN_REQUEST_AT.reserved32, BHS_BYTES)
}

export function encodeLoginResponse(
  into: Buffer,
  at: number,
  fields: Readonly<LoginResponseFields>,
  dataSegmentLength: number,
): void {
  const { versionMax, versionActive } = fields
  putStart(into, at, Opcode.loginResponse, flagBits(fields), versionMax, versionActive, dataSegmentLength)
  into.write(fields.isid, at + LOGIN_RESPONSE_AT.isid, ISID_BYTES, 'hex')
  putHalf(into, at + LOGIN_RESPONSE_AT.tsih, fields.tsih)
  putWord(into, at + LOGIN_RESPONSE_AT.itt, fields.itt)
  putWord(into, at + LOGIN_RESPONSE_AT.reserved20, 0)
  putResponseNumbers(into, at, fields)
  into[at + LOGIN_RESPONSE_AT.statusClass] = fields.statusClass
  into[at + LOGIN_RESPONSE_AT.statusDetail] = fields.statusDetail
  putReserved(into, at, LOGIN_RESPONSE_AT.reserved38, BHS_BYTES)
}

export function decodeLoginResponse(from: Buffer, at: number): LoginResponseFields {
  const fields = {
    ...decodeFlags(from, at),
    versionMax: from[at + LOGIN_RESPONSE_AT.versionMax],
    versionActive: from[at + LOGIN_RESPONSE_AT.versionActive],
    statSn: 0,
    expCmdSn: 0,
    maxCmdSn: 0,
    statusClass: from[at + LOGIN_RESPONSE_AT.statusClass],
    statusDetail: from[at + LOGIN_RESPONSE_AT.statusDetail],
  }
  getResponseNumbers(from, at, fields)
  return fields
}
