import { expect, test } from 'vitest'
import { dataSegmentBytesOf, isImmediate } from './bhs.ts'
import { blankDataIn, decodeDataIn, encodeDataIn } from './data-in.ts'
import { blankDataOut, decodeDataOut, encodeDataOut } from './data-out.ts'
import { decodeLoginRequest, decodeLoginResponse, encodeLoginRequest, encodeLoginResponse } from './login.ts'
import {
  decodeLogoutRequest,
  decodeLogoutResponse,
  encodeLogoutRequest,
  encodeLogoutResponse,
} from './logout.ts'
import { blankR2t, decodeR2t, encodeR2t } from './r2t.ts'
import { blankScsiCommand, decodeScsiCommand, encodeScsiCommand } from './scsi-command.ts'
import { blankScsiResponse, decodeScsiResponse, encodeScsiResponse } from './scsi-response.ts'
import {
  decodeTaskManagementRequest,
  decodeTaskManagementResponse,
  encodeTaskManagementRequest,
  encodeTaskManagementResponse,
} from './task-management.ts'
import { decodeTextRequest, decodeTextResponse, encodeTextRequest, encodeTextResponse } from './text.ts'

/** Headers as libiscsi 1.19 (iscsi-ls, iscsi-inq, qemu-io, iscsi-test-cu) and tgt 1.0.85 sent them to each other. */
const CAPTURED = {
  loginRequest:
    '43870000000001ae80fd54e90000000010be37d000000000348636fb0000000100000000000000000000000000000000',
  loginResponse:
    '238700000000012c80fd54e90000020010be37d00000000000000000348636fb348636fc000000000000000000000000',
  textRequest:
    '4480000000000010000000000000000015756f11ffffffff4bd745650000000100000000000000000000000000000000',
  textResponse:
    '248000000000003e000000000000000015756f11ffffffff000000014bd745654bd74566000000000000000000000000',
  testUnitReady:
    '0181000000000000000100000000000010be37d100000000348636fb0000000100000000000000000000000000000000',
  checkCondition:
    '2180000200000014000000000000000010be37d10000000000000001348636fc3486377c000000000000000000000000',
  dataIn: '2581000000000040000000000000000010be37d3ffffffff00000003348636fe3486377e000000000000000000000000',
  r2t: '31800000000000000001000000000000450f28f9b0c3b8880000000c314a1d51314a1dd100000000000020000001e000',
  dataOut: '05000000000020000001000000000000450f28f9b0c3b888000000000000000d00000000000000010000400000000000',
  abortTask:
    '4281000000000000000100000000000023093f8d23093f8c2029d72c000000032029d72b000000000000000000000000',
  abortTaskDone:
    '2280010000000000000000000000000023093f8d00000000000000042029d72c2029d7ac000000000000000000000000',
  logoutRequest:
    '4680000000000000000000000000000015756f12000000004bd745650000000200000000000000000000000000000000',
  logoutResponse:
    '2680000000000000000000000000000015756f1200000000000000024bd745654bd74566000000000000000000000000',
} as const

function pdu(name: keyof typeof CAPTURED): Buffer {
  return Buffer.from(CAPTURED[name], 'hex')
}

/** Encoding what was read must give the captured bytes again. */
function expectSame(name: keyof typeof CAPTURED, encode: (into: Buffer, dataSegmentLength: number) => void) {
  const again = Buffer.alloc(48, 0xee)
  encode(again, dataSegmentBytesOf(pdu(name), 0))
  expect(again.toString('hex')).toBe(CAPTURED[name])
}

function expectNoFault<T extends object>(decoded: T): Exclude<T, { fault: string }> {
  expect(decoded).not.toHaveProperty('fault')
  return decoded as Exclude<T, { fault: string }>
}

test('login: libiscsi starts in the operational stage and asks for full feature phase', () => {
  const request = decodeLoginRequest(pdu('loginRequest'), 0)
  expect(request).toMatchObject({ transit: true, csg: 1, nsg: 3, isid: '80fd54e90000', tsih: 0, cid: 0 })
  expect(request).toMatchObject({ itt: 0x10be37d0, cmdSn: 0x348636fb, expStatSn: 1 })
  expectSame('loginRequest', (into, length) => encodeLoginRequest(into, 0, request, length))
  const response = decodeLoginResponse(pdu('loginResponse'), 0)
  expect(response).toMatchObject({ transit: true, tsih: 0x0200, expCmdSn: 0x348636fb, statusClass: 0 })
  expectSame('loginResponse', (into, length) => encodeLoginResponse(into, 0, response, length))
})

test('text: SendTargets is immediate, final, without a transfer tag', () => {
  const request = expectNoFault(decodeTextRequest(pdu('textRequest'), 0))
  expect(request).toMatchObject({ immediate: true, final: true, continued: false, ttt: 0xffffffff })
  expectSame('textRequest', (into, length) => encodeTextRequest(into, 0, request, length))
  const response = expectNoFault(decodeTextResponse(pdu('textResponse'), 0))
  expect(response).toMatchObject({ final: true, itt: 0x15756f11, statSn: 1 })
  expectSame('textResponse', (into, length) => encodeTextResponse(into, 0, response, length))
})

test('scsi command: TEST UNIT READY for LUN 1, simple, no data', () => {
  const command = blankScsiCommand()
  expect(decodeScsiCommand(pdu('testUnitReady'), 0, command)).toBeNull()
  expect(command).toMatchObject({ final: true, read: false, write: false, attribute: 1, lunHigh: 0x10000 })
  expectSame('testUnitReady', (into, length) => encodeScsiCommand(into, 0, command, Buffer.alloc(6), length))
})

test('scsi response: CHECK CONDITION with sense in the data segment', () => {
  const response = blankScsiResponse()
  expect(decodeScsiResponse(pdu('checkCondition'), 0, response)).toBeNull()
  expect(response).toMatchObject({ status: 2, response: 0, statSn: 1, maxCmdSn: 0x3486377c })
  expect(dataSegmentBytesOf(pdu('checkCondition'), 0)).toBe(20)
  expectSame('checkCondition', (into, length) => encodeScsiResponse(into, 0, response, length))
})

test('data: Data-In with status, R2T and the Data-Out that answers it', () => {
  const dataIn = blankDataIn()
  expect(decodeDataIn(pdu('dataIn'), 0, dataIn)).toBeNull()
  expect(dataIn).toMatchObject({ flags: 0x81, ttt: 0xffffffff, statSn: 3 })
  expectSame('dataIn', (into, length) => encodeDataIn(into, 0, dataIn, length))
  const r2t = blankR2t()
  expect(decodeR2t(pdu('r2t'), 0, r2t)).toBeNull()
  expect(r2t).toMatchObject({ ttt: 0xb0c3b888, r2tSn: 0, bufferOffset: 8192, desiredLength: 122880 })
  expectSame('r2t', into => encodeR2t(into, 0, r2t))
  const dataOut = blankDataOut()
  decodeDataOut(pdu('dataOut'), 0, dataOut)
  expect(dataOut).toMatchObject({ final: false, ttt: 0xb0c3b888, dataSn: 1, bufferOffset: 16384 })
  expectSame('dataOut', (into, length) => encodeDataOut(into, 0, dataOut, length))
})

test('task management: ABORT TASK and its answer', () => {
  const request = decodeTaskManagementRequest(pdu('abortTask'), 0)
  expect(request).toMatchObject({ fn: 1, referencedTaskTag: 0x23093f8c, refCmdSn: 0x2029d72b })
  expectSame('abortTask', into => encodeTaskManagementRequest(into, 0, request))
  const response = decodeTaskManagementResponse(pdu('abortTaskDone'), 0)
  expect(response).toMatchObject({ response: 1, itt: 0x23093f8d })
  expectSame('abortTaskDone', into => encodeTaskManagementResponse(into, 0, response))
})

test('logout: closes the session', () => {
  expect(isImmediate(pdu('logoutRequest'), 0)).toBe(true)
  const request = expectNoFault(decodeLogoutRequest(pdu('logoutRequest'), 0))
  expect(request).toMatchObject({ reason: 0, itt: 0x15756f12 })
  expectSame('logoutRequest', into => encodeLogoutRequest(into, 0, request))
  const response = decodeLogoutResponse(pdu('logoutResponse'), 0)
  expect(response).toMatchObject({ response: 0, statSn: 2 })
  expectSame('logoutResponse', into => encodeLogoutResponse(into, 0, response))
})
