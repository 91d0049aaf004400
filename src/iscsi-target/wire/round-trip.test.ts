import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeAsyncMessage, encodeAsyncMessage } from './async-message.ts'
import { ahsBytesOf, BHS_BYTES, dataSegmentBytesOf, ittOf, opcodeOf } from './bhs.ts'
import { blankDataIn, DATA_IN_STATUS_BIT, decodeDataIn, encodeDataIn } from './data-in.ts'
import { blankDataOut, decodeDataOut, encodeDataOut } from './data-out.ts'
import { DIGEST_BYTES } from './digest.ts'
import { decodeLoginRequest, decodeLoginResponse, encodeLoginRequest, encodeLoginResponse } from './login.ts'
import {
  decodeLogoutRequest,
  decodeLogoutResponse,
  encodeLogoutRequest,
  encodeLogoutResponse,
} from './logout.ts'
import { blankNopIn, blankNopOut, decodeNopIn, decodeNopOut, encodeNopIn, encodeNopOut } from './nop.ts'
import { Opcode } from './opcodes.ts'
import { blankR2t, decodeR2t, encodeR2t } from './r2t.ts'
import { decodeReject, encodeReject } from './reject.ts'
import { isRejection } from './rejection.ts'
import { blankScsiCommand, decodeScsiCommand, encodeScsiCommand, SCSI_COMMAND_AT } from './scsi-command.ts'
import { blankScsiResponse, decodeScsiResponse, encodeScsiResponse } from './scsi-response.ts'
import { decodeSnack, encodeSnack } from './snack.ts'
import {
  decodeTaskManagementRequest,
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
  encodeTaskManagementResponse,
} from './task-management.ts'
import { decodeTextRequest, decodeTextResponse, encodeTextRequest, encodeTextResponse } from './text.ts'

const AT = 7
const GUARD = 0xa5

const word = fc.nat({ max: 0xffffffff })
const half = fc.nat({ max: 0xffff })
const byte = fc.nat({ max: 0xff })
const segment = fc.nat({ max: 0xffffff })
const isid = fc.uint8Array({ minLength: 6, maxLength: 6 }).map(bytes => Buffer.from(bytes).toString('hex'))
const lun = { lunHigh: word, lunLow: word }
const answerNumbers = { statSn: word, expCmdSn: word, maxCmdSn: word }
const requestNumbers = { cmdSn: word, expStatSn: word }
const flag = fc.boolean()
/** F and C never stand together. */
const finalOrContinued = fc.constantFrom(
  { final: true, continued: false },
  { final: false, continued: true },
  { final: false, continued: false },
)

/** Encodes at an odd place in dirty memory: nothing but the header may be touched, and all of it is. */
function headerOf(encode: (into: Buffer, at: number) => void): Buffer {
  const encoded = [0x00, 0xff].map(dirt => {
    const memory = Buffer.alloc(AT + BHS_BYTES + AT, GUARD)
    memory.fill(dirt, AT, AT + BHS_BYTES)
    encode(memory, AT)
    expect(memory.subarray(0, AT).every(value => value === GUARD)).toBe(true)
    expect(memory.subarray(AT + BHS_BYTES).every(value => value === GUARD)).toBe(true)
    return memory
  })
  expect(encoded[0].equals(encoded[1])).toBe(true)
  return encoded[0]
}

function roundTrips<T extends object>(
  name: string,
  fields: fc.Arbitrary<T>,
  opcode: number,
  encode: (into: Buffer, at: number, fields: T, dataSegmentLength: number) => void,
  decode: (from: Buffer, at: number) => object | null,
): void {
  test(`${name}: what is encoded is decoded, over dirty memory and at any place`, () => {
    fc.assert(
      fc.property(fields, segment, (value, length) => {
        const memory = headerOf((into, at) => encode(into, at, value, length))
        expect(opcodeOf(memory, AT)).toBe(opcode)
        expect(decode(memory, AT)).toEqual(value)
      }),
      { numRuns: 60 },
    )
  })
}

/** Decoders that fill fields the caller keeps. */
function filled<T extends object>(
  blank: () => T,
  decode: (from: Buffer, at: number, into: T) => unknown,
): (from: Buffer, at: number) => object {
  return (from, at) => {
    const into = blank()
    const fault = decode(from, at, into)
    return fault ? { fault } : into
  }
}

describe('every PDU', () => {
  roundTrips(
    'SCSI Command',
    fc
      .record({
        ...lun,
        ...requestNumbers,
        immediate: flag,
        final: flag,
        read: flag,
        write: flag,
        attribute: fc.nat({ max: 4 }),
        itt: word,
        expectedLength: word,
      })
      .filter(({ final, write }) => final || write),
    Opcode.scsiCommand,
    (into, at, fields, length) => encodeScsiCommand(into, at, fields, Buffer.alloc(16, 9), length),
    filled(blankScsiCommand, decodeScsiCommand),
  )
  roundTrips(
    'SCSI Response',
    fc.record({
      ...answerNumbers,
      flags: fc.constantFrom(0, 0x02, 0x04, 0x08, 0x10, 0x0a),
      response: byte,
      status: byte,
      itt: word,
      expDataSn: word,
      bidirectionalResidual: word,
      residual: word,
    }),
    Opcode.scsiResponse,
    encodeScsiResponse,
    filled(blankScsiResponse, decodeScsiResponse),
  )
  roundTrips(
    'Data-In',
    fc.record({
      ...lun,
      ...answerNumbers,
      flags: fc.constantFrom(0, 0x80, 0xc0, 0x81, 0x83, 0x85),
      status: byte,
      itt: word,
      ttt: word,
      dataSn: word,
      bufferOffset: word,
      residual: word,
    }),
    Opcode.dataIn,
    encodeDataIn,
    filled(blankDataIn, decodeDataIn),
  )
  roundTrips(
    'Data-Out',
    fc.record({
      ...lun,
      final: flag,
      itt: word,
      ttt: word,
      expStatSn: word,
      dataSn: word,
      bufferOffset: word,
    }),
    Opcode.dataOut,
    encodeDataOut,
    filled(blankDataOut, decodeDataOut),
  )
  roundTrips(
    'R2T',
    fc.record({
      ...lun,
      ...answerNumbers,
      itt: word,
      ttt: word,
      r2tSn: word,
      bufferOffset: word,
      desiredLength: fc.integer({ min: 1, max: 0xffffffff }),
    }),
    Opcode.r2t,
    encodeR2t,
    filled(blankR2t, decodeR2t),
  )
  roundTrips(
    'NOP-Out',
    fc.record({ ...lun, ...requestNumbers, immediate: flag, itt: fc.nat({ max: 0xfffffffe }), ttt: word }),
    Opcode.nopOut,
    encodeNopOut,
    filled(blankNopOut, decodeNopOut),
  )
  roundTrips(
    'NOP-In',
    fc.record({ ...lun, ...answerNumbers, itt: word, ttt: word }),
    Opcode.nopIn,
    encodeNopIn,
    filled(blankNopIn, decodeNopIn),
  )
  roundTrips(
    'Task Management Function Request',
    fc.record({
      ...lun,
      ...requestNumbers,
      immediate: flag,
      fn: fc.nat({ max: 0x7f }),
      itt: word,
      referencedTaskTag: word,
      refCmdSn: word,
      expDataSn: word,
    }),
    Opcode.taskManagementRequest,
    encodeTaskManagementRequest,
    decodeTaskManagementRequest,
  )
  roundTrips(
    'Task Management Function Response',
    fc.record({ ...answerNumbers, response: byte, itt: word }),
    Opcode.taskManagementResponse,
    encodeTaskManagementResponse,
    decodeTaskManagementResponse,
  )
  roundTrips(
    'Text Request',
    fc
      .tuple(
        finalOrContinued,
        fc.record({ ...lun, ...requestNumbers, immediate: flag, itt: word, ttt: word }),
      )
      .map(([flags, rest]) => ({ ...flags, ...rest })),
    Opcode.textRequest,
    encodeTextRequest,
    decodeTextRequest,
  )
  roundTrips(
    'Text Response',
    fc
      .tuple(finalOrContinued, fc.record({ ...lun, ...answerNumbers, itt: word, ttt: word }))
      .map(([flags, rest]) => ({ ...flags, ...rest })),
    Opcode.textResponse,
    encodeTextResponse,
    decodeTextResponse,
  )
  const loginFlags = {
    transit: flag,
    continued: flag,
    csg: fc.nat({ max: 3 }),
    nsg: fc.nat({ max: 3 }),
    isid,
    tsih: half,
    itt: word,
    versionMax: byte,
  }
  roundTrips(
    'Login Request',
    fc.record({ ...loginFlags, ...requestNumbers, versionMin: byte, cid: half }),
    Opcode.loginRequest,
    encodeLoginRequest,
    decodeLoginRequest,
  )
  roundTrips(
    'Login Response',
    fc.record({
      ...loginFlags,
      ...answerNumbers,
      versionActive: byte,
      statusClass: byte,
      statusDetail: byte,
    }),
    Opcode.loginResponse,
    encodeLoginResponse,
    decodeLoginResponse,
  )
  roundTrips(
    'Logout Request',
    fc.record({ ...requestNumbers, immediate: flag, reason: fc.nat({ max: 2 }), itt: word, cid: half }),
    Opcode.logoutRequest,
    encodeLogoutRequest,
    decodeLogoutRequest,
  )
  roundTrips(
    'Logout Response',
    fc.record({ ...answerNumbers, response: byte, itt: word, time2Wait: half, time2Retain: half }),
    Opcode.logoutResponse,
    encodeLogoutResponse,
    decodeLogoutResponse,
  )
  roundTrips(
    'SNACK',
    fc.record({
      ...lun,
      type: fc.nat({ max: 15 }),
      itt: word,
      tag: word,
      expStatSn: word,
      begRun: word,
      runLength: word,
    }),
    Opcode.snackRequest,
    encodeSnack,
    decodeSnack,
  )
  roundTrips(
    'Asynchronous Message',
    fc.record({
      ...lun,
      ...answerNumbers,
      event: byte,
      vendorCode: byte,
      parameter1: half,
      parameter2: half,
      parameter3: half,
    }),
    Opcode.asyncMessage,
    encodeAsyncMessage,
    decodeAsyncMessage,
  )
})

test('reject: carries the refused header as its data segment', () => {
  fc.assert(
    fc.property(
      fc.record({ ...answerNumbers, reason: byte, dataSn: word }),
      fc.uint8Array({ minLength: BHS_BYTES, maxLength: BHS_BYTES }),
      (fields, refused) => {
        const memory = Buffer.alloc(AT + DIGEST_BYTES + 2 * BHS_BYTES, GUARD)
        const dataAt = AT + BHS_BYTES + DIGEST_BYTES
        encodeReject(memory, AT, dataAt, fields, Buffer.concat([Buffer.alloc(3), refused]), 3)
        expect(decodeReject(memory, AT)).toEqual(fields)
        expect(dataSegmentBytesOf(memory, AT)).toBe(BHS_BYTES)
        expect(memory.subarray(dataAt).equals(refused)).toBe(true)
      },
    ),
  )
})

test('lengths: data segment, AHS and tag are read where every header has them', () => {
  fc.assert(
    fc.property(segment, fc.nat({ max: 255 }), word, (length, ahsWords, itt) => {
      const memory = headerOf((into, at) =>
        encodeScsiCommand(into, at, { ...blankScsiCommand(), itt }, Buffer.alloc(6, 1), length, ahsWords * 4),
      )
      expect(dataSegmentBytesOf(memory, AT)).toBe(length)
      expect(ahsBytesOf(memory, AT)).toBe(ahsWords * 4)
      expect(ittOf(memory, AT)).toBe(itt)
      const cdbAt = AT + SCSI_COMMAND_AT.cdb
      expect(memory.subarray(cdbAt, cdbAt + 16).toString('hex')).toBe('010101010101'.padEnd(32, '0'))
    }),
  )
})

test('rejections: PDUs that contradict themselves are refused, never thrown at', () => {
  const memory = Buffer.alloc(BHS_BYTES)
  const refused = (decoded: object | null) =>
    decoded !== null && isRejection(decoded) ? decoded.reason : null
  memory.writeUInt8(0x00, 1)
  expect(refused(decodeScsiCommand(memory, 0, blankScsiCommand()))).toBe(0x09)
  memory.writeUInt8(0x85, 1)
  expect(refused(decodeScsiCommand(memory, 0, blankScsiCommand()))).toBe(0x09)
  memory.writeUInt8(0x06, 1)
  expect(refused(decodeScsiResponse(memory, 0, blankScsiResponse()))).toBe(0x04)
  memory.writeUInt8(DATA_IN_STATUS_BIT, 1)
  expect(refused(decodeDataIn(memory, 0, blankDataIn()))).toBe(0x04)
  expect(refused(decodeR2t(memory, 0, blankR2t()))).toBe(0x04)
  memory.writeUInt8(0xc0, 1)
  expect(refused(decodeTextRequest(memory, 0))).toBe(0x04)
  expect(refused(decodeTextResponse(memory, 0))).toBe(0x04)
  memory.writeUInt8(0x83, 1)
  expect(refused(decodeLogoutRequest(memory, 0))).toBe(0x09)
  memory.writeUInt32BE(0xffffffff, 16)
  expect(refused(decodeNopOut(memory, 0, blankNopOut()))).toBe(0x04)
})
