import {
  assertLayout,
  BHS_BYTES,
  FINAL_BIT,
  getLun,
  getRequestNumbers,
  isImmediate,
  type LunWords,
  putLun,
  putRequestNumbers,
  putReserved,
  putStart,
  type RequestNumbers,
} from './bhs.ts'
import { IMMEDIATE_BIT, Opcode } from './opcodes.ts'
import {
  BLANK_PLAIN_RESPONSE,
  getPlainResponse,
  PLAIN_RESPONSE_AT,
  type PlainResponse,
  putPlainResponse,
} from './tagged.ts'
import { getWord, putWord } from './words.ts'

/** Task Management Function Request, RFC 7143 §11.5. */
const TASK_MANAGEMENT_REQUEST_AT = {
  opcode: 0,
  flags: 1,
  lun: 8,
  itt: 16,
  referencedTaskTag: 20,
  cmdSn: 24,
  expStatSn: 28,
  refCmdSn: 32,
  expDataSn: 36,
  reserved40: 40,
} as const
/** Task Management Function Response, RFC 7143 §11.6. */
const TASK_MANAGEMENT_RESPONSE_AT = {
  opcode: 0,
  flags: 1,
  response: 2,
  ...PLAIN_RESPONSE_AT,
  reserved36: 36,
} as const
assertLayout(TASK_MANAGEMENT_REQUEST_AT, 8)
assertLayout(TASK_MANAGEMENT_RESPONSE_AT, 12)

/** RFC 7143 §11.5.1. */
export const TaskFunction = {
  abortTask: 1,
  abortTaskSet: 2,
  clearAca: 3,
  clearTaskSet: 4,
  logicalUnitReset: 5,
  targetWarmReset: 6,
  targetColdReset: 7,
  taskReassign: 8,
} as const
const FUNCTION_MASK = 0x7f

/** RFC 7143 §11.6.1. */
export const TaskResponse = {
  functionComplete: 0,
  taskDoesNotExist: 1,
  lunDoesNotExist: 2,
  taskStillAllegiant: 3,
  reassignmentNotSupported: 4,
  functionNotSupported: 5,
  authorizationFailed: 6,
  functionRejected: 255,
} as const

export interface TaskManagementRequestFields extends LunWords, RequestNumbers {
  immediate: boolean
  /** A TaskFunction, or a number that the standard does not know. */
  fn: number
  itt: number
  /** Of the task to abort or reassign; RESERVED_TAG for the other functions. */
  referencedTaskTag: number
  refCmdSn: number
  expDataSn: number
}

export function decodeTaskManagementRequest(from: Buffer, at: number): TaskManagementRequestFields {
  const fields = {
    immediate: isImmediate(from, at),
    fn: from[at + TASK_MANAGEMENT_REQUEST_AT.flags] & FUNCTION_MASK,
    lunHigh: 0,
    lunLow: 0,
    itt: getWord(from, at + TASK_MANAGEMENT_REQUEST_AT.itt),
    referencedTaskTag: getWord(from, at + TASK_MANAGEMENT_REQUEST_AT.referencedTaskTag),
    cmdSn: 0,
    expStatSn: 0,
    refCmdSn: getWord(from, at + TASK_MANAGEMENT_REQUEST_AT.refCmdSn),
    expDataSn: getWord(from, at + TASK_MANAGEMENT_REQUEST_AT.expDataSn),
  }
  getLun(from, at, fields)
  getRequestNumbers(from, at, fields)
  return fields
}

export function encodeTaskManagementRequest(
  into: Buffer,
  at: number,
  fields: Readonly<TaskManagementRequestFields>,
): void {
  const opcode = Opcode.taskManagementRequest | (fields.immediate ? IMMEDIATE_BIT : 0)
  putStart(into, at, opcode, FINAL_BIT | fields.fn, 0, 0, 0)
  putLun(into, at, fields)
  putWord(into, at + TASK_MANAGEMENT_REQUEST_AT.itt, fields.itt)
  putWord(into, at + TASK_MANAGEMENT_REQUEST_AT.referencedTaskTag, fields.referencedTaskTag)
  putRequestNumbers(into, at, fields)
  putWord(into, at + TASK_MANAGEMENT_REQUEST_AT.refCmdSn, fields.refCmdSn)
  putWord(into, at + TASK_MANAGEMENT_REQUEST_AT.expDataSn, fields.expDataSn)
  putReserved(into, at, TASK_MANAGEMENT_REQUEST_AT.reserved40, BHS_BYTES)
}

export interface TaskManagementResponseFields extends PlainResponse {
  response: number
}

export function encodeTaskManagementResponse(
  into: Buffer,
  at: number,
  fields: Readonly<TaskManagementResponseFields>,
): void {
  putStart(into, at, Opcode.taskManagementResponse, FINAL_BIT, fields.response, 0, 0)
  putPlainResponse(into, at, fields)
  putReserved(into, at, TASK_MANAGEMENT_RESPONSE_AT.reserved36, BHS_BYTES)
}

export function decodeTaskManagementResponse(from: Buffer, at: number): TaskManagementResponseFields {
  const fields = { ...BLANK_PLAIN_RESPONSE, response: from[at + TASK_MANAGEMENT_RESPONSE_AT.response] }
  getPlainResponse(from, at, fields)
  return fields
}
