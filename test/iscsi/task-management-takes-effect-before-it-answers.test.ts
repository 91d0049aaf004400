import { expect, test } from 'vitest'
import { AsyncEvent } from '../../src/iscsi-target/wire/async-message.ts'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { TaskFunction, TaskResponse } from '../../src/iscsi-target/wire/task-management.ts'
import { TargetDevice } from '../../src/scsi/target-device.ts'
import type { IscsiInitiator } from '../lib/iscsi-initiator.ts'
import { MemoryVolume } from '../lib/memory-volume.ts'
import { FakeServer, pattern, read10, TARGET_NAME, write10 } from './serve-fake.ts'

const DELAY_MS = 60
/** SAM-5 §5.3.1. */
const [CHECK_CONDITION, TASK_ABORTED] = [0x02, 0x40]

/** The next PDU must be the answer to this request; gives its response code. */
async function answerTo(initiator: IscsiInitiator, itt: number): Promise<number> {
  const pdu = await initiator.receive()
  expect([pdu.opcode, pdu.bhs.readUInt32BE(16)]).toEqual([Opcode.taskManagementResponse, itt])
  return pdu.bhs[2]!
}

test('ABORT TASK: a write that is being executed neither answers nor reaches the disk, others go on', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.delayMs = DELAY_MS
  const aborted = initiator.command(write10(0, 8), { write: 4096, data: pattern(4096) })
  const kept = initiator.command(write10(8, 8), { write: 4096, data: pattern(4096) })
  const request = initiator.manageTasks(TaskFunction.abortTask, aborted, 1)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  const answer = await initiator.receive()
  expect([answer.opcode, answer.bhs.readUInt32BE(16)]).toEqual([Opcode.scsiResponse, kept])
  expect(await initiator.isSilent(2 * DELAY_MS)).toBe(true)
  expect(server.disk.memory.subarray(0, 4096).equals(Buffer.alloc(4096))).toBe(true)
  expect(server.disk.memory.subarray(4096, 8192).equals(pattern(4096))).toBe(true)
})

test('ABORT TASK: a write that is collecting its data is taken back, and its late data is swallowed', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const itt = initiator.command(write10(0, 32), { write: 16384, data: pattern(8192) })
  const ttt = (await initiator.receive()).bhs.readUInt32BE(20)
  const request = initiator.manageTasks(TaskFunction.abortTask, itt, 1)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  initiator.dataOut({ itt, ttt, offset: 8192, data: pattern(8192) })
  expect(await initiator.isSilent(30)).toBe(true)
  expect(server.disk.writes).toBe(0)
  initiator.command(write10(0, 8), { write: 4096, data: pattern(4096), itt })
  expect((await initiator.receive()).opcode).toBe(Opcode.scsiResponse)
})

for (const [name, fn] of [
  ['ABORT TASK', TaskFunction.abortTask],
  ['ABORT TASK SET', TaskFunction.abortTaskSet],
  ['LOGICAL UNIT RESET', TaskFunction.logicalUnitReset],
] as const) {
  test(`${name}: a write that was refused, and whose data never comes, is gone`, async () => {
    await using server = await FakeServer.start()
    const initiator = await server.login()
    const itt = initiator.command(write10(0x7fffffff, 8), { write: 4096, final: false })
    const request = initiator.manageTasks(fn, itt, 1)
    expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
    expect([...server.target.liveSessions()][0]!.slots.used).toBe(0)
    initiator.dataOut({ itt, offset: 0, data: pattern(4096) })
    expect(await initiator.isSilent(30)).toBe(true)
  })
}

test('ABORT TASK: a read whose data is being fetched sends nothing any more', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.fetchMs = DELAY_MS
  const itt = initiator.command(read10(0, 8), { read: 4096 })
  const request = initiator.manageTasks(TaskFunction.abortTask, itt, 1)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  expect(await initiator.isSilent(2 * DELAY_MS)).toBe(true)
  const [session] = server.target.liveSessions()
  expect(session!.slots.used).toBe(0)
})

test('ABORT TASK: a task that never arrived counts as received, one outside the window does not exist', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const missing = initiator.cmdSn++
  const behind = initiator.command(read10(0, 1), { read: 512 })
  expect(await initiator.isSilent(20)).toBe(true)
  const request = initiator.manageTasks(TaskFunction.abortTask, 0x7777, missing)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  const answer = await initiator.receive()
  expect([answer.opcode, answer.bhs.readUInt32BE(16)]).toEqual([Opcode.dataIn, behind])
  const again = initiator.manageTasks(TaskFunction.abortTask, 0x7777, missing)
  expect(await answerTo(initiator, again)).toBe(TaskResponse.taskDoesNotExist)
})

test('ABORT TASK SET: ends the tasks of this session alone, those behind a hole included', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const other = await server.login({ isid: '400000000002' })
  server.disk.delayMs = DELAY_MS
  initiator.command(write10(0, 8), { write: 4096, data: pattern(4096) })
  initiator.command(write10(8, 32), { write: 16384, data: pattern(8192) })
  const missing = initiator.cmdSn++
  initiator.command(write10(64, 8), { write: 4096, data: pattern(4096) })
  other.command(write10(16, 8), { write: 4096, data: pattern(4096) })
  expect((await initiator.receive()).opcode).toBe(Opcode.r2t)
  const request = initiator.manageTasks(TaskFunction.abortTaskSet)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  expect((await other.receive()).opcode).toBe(Opcode.scsiResponse)
  initiator.command(read10(0, 1), { read: 512, cmdSn: missing })
  expect((await initiator.receive()).opcode).toBe(Opcode.dataIn)
  expect(await initiator.isSilent(2 * DELAY_MS)).toBe(true)
  expect(server.disk.writes).toBe(1)
})

for (const [name, fn] of [
  ['CLEAR TASK SET', TaskFunction.clearTaskSet],
  ['LOGICAL UNIT RESET', TaskFunction.logicalUnitReset],
  ['TARGET WARM RESET', TaskFunction.targetWarmReset],
] as const) {
  test(`${name}: ends the tasks of all sessions, and the sessions go on`, async () => {
    await using server = await FakeServer.start()
    const initiator = await server.login()
    const other = await server.login({ isid: '400000000002' })
    server.disk.delayMs = DELAY_MS
    other.command(write10(16, 8), { write: 4096, data: pattern(4096) })
    other.nopOut()
    expect((await other.receive()).opcode).toBe(Opcode.nopIn)
    initiator.command(write10(0, 8), { write: 4096, data: pattern(4096) })
    const request = initiator.manageTasks(fn)
    expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
    expect(await initiator.isSilent(2 * DELAY_MS)).toBe(true)
    expect(await other.isSilent(10)).toBe(true)
    expect(server.disk.writes).toBe(0)
    other.command(read10(0, 1), { read: 512 })
    expect((await other.receive()).opcode).toBe(Opcode.dataIn)
  })
}

for (const takesBack of [true, false]) {
  test(`abort on a slow volume: nothing answers or is written afterwards (${takesBack ? 'in time' : 'too late'})`, async () => {
    const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
    const device = new TargetDevice({ name: TARGET_NAME, identity })
    const volume = new MemoryVolume()
    await device.setUnits(new Map([[0, { volume, readOnly: false }]]))
    await using server = await FakeServer.start({}, device)
    const initiator = await server.login()
    const other = await server.login({ isid: '400000000002' })
    volume.delayMs = DELAY_MS
    volume.takesBack = takesBack
    const itt = initiator.command(write10(0, 8), { write: 4096, data: pattern(4096) })
    initiator.command(read10(0, 8), { read: 4096 })
    other.command(write10(16, 8), { write: 4096, data: pattern(4096) })
    const abort = initiator.manageTasks(TaskFunction.abortTask, itt, 1)
    const set = initiator.manageTasks(TaskFunction.abortTaskSet)
    expect(await answerTo(initiator, abort)).toBe(TaskResponse.functionComplete)
    const atAnswer = Buffer.from(volume.bytes.subarray(0, 4096))
    expect(await answerTo(initiator, set)).toBe(TaskResponse.functionComplete)
    expect((await other.receive()).opcode).toBe(Opcode.scsiResponse)
    expect(await initiator.isSilent(2 * DELAY_MS)).toBe(true)
    expect(volume.bytes.subarray(0, 4096).equals(atAnswer)).toBe(true)
    expect(volume.bytes.subarray(8192, 12288).equals(pattern(4096))).toBe(true)
    const [session] = server.target.liveSessions()
    expect(session!.slots.used).toBe(0)
  })
}

test('TARGET COLD RESET: answers, then ends all sessions of the target', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const other = await server.login({ isid: '400000000002' })
  const request = initiator.manageTasks(TaskFunction.targetColdReset)
  expect(await answerTo(initiator, request)).toBe(TaskResponse.functionComplete)
  const told = await other.receive()
  expect([told.opcode, told.bhs[36]]).toEqual([Opcode.asyncMessage, AsyncEvent.sessionDropped])
  await other.closed()
  await initiator.closed()
})

test('task management: what cannot be done is answered with the reason', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const reassign = initiator.manageTasks(TaskFunction.taskReassign, 5)
  expect(await answerTo(initiator, reassign)).toBe(TaskResponse.reassignmentNotSupported)
  const unknown = initiator.manageTasks(42)
  expect(await answerTo(initiator, unknown)).toBe(TaskResponse.functionNotSupported)
  const noLun = initiator.manageTasks(TaskFunction.logicalUnitReset, undefined, 0, 7)
  expect(await answerTo(initiator, noLun)).toBe(TaskResponse.lunDoesNotExist)
})

test('LOGICAL UNIT RESET: what others had under way is answered, a write once its initiator has sent what it was asked for', async () => {
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const device = new TargetDevice({ name: TARGET_NAME, identity })
  const volume = new MemoryVolume()
  await device.setUnits(new Map([[0, { volume, readOnly: false }]]))
  // Room for one task at a time: the second write waits for the first.
  await using server = await FakeServer.start({ limits: { dataOutBytesPerSessionMax: 16_384 } }, device)
  const initiator = await server.login()
  const other = await server.login({ isid: '400000000002' })
  volume.delayMs = DELAY_MS
  const read = other.command(read10(0, 8), { read: 4096 })
  const write = other.command(write10(16, 32), { write: 16_384, data: pattern(8192) })
  const ttt = (await other.receive()).bhs.readUInt32BE(20)
  const waiting = other.command(write10(64, 32), { write: 16_384, data: pattern(8192) })
  other.nopOut()
  expect((await other.receive()).opcode).toBe(Opcode.nopIn)
  const reset = initiator.manageTasks(TaskFunction.logicalUnitReset)
  expect(await answerTo(initiator, reset)).toBe(TaskResponse.functionComplete)
  const answered = [await other.receive(), await other.receive()]
  expect(answered.map(({ bhs }) => bhs.readUInt32BE(16)).sort()).toEqual([read, waiting])
  for (const { opcode, bhs } of answered)
    expect([opcode, bhs[3]]).toEqual([Opcode.scsiResponse, TASK_ABORTED])
  expect(await other.isSilent(DELAY_MS)).toBe(true)
  other.dataOut({ itt: write, ttt, offset: 8192, data: pattern(8192) })
  const last = await other.receive()
  expect([last.bhs.readUInt32BE(16), last.bhs[3]]).toEqual([write, TASK_ABORTED])
  expect(volume.bytes.equals(Buffer.alloc(volume.bytes.length))).toBe(true)
  for (const session of server.target.liveSessions()) expect(session.slots.used).toBe(0)
  // The next write finds all the room that there was.
  other.command(write10(0, 8), { write: 4096, data: pattern(4096) })
  expect((await other.receive()).bhs[3]).toBe(CHECK_CONDITION)
  other.command(write10(0, 32), { write: 16_384, data: pattern(8192) })
  expect((await other.receive()).opcode).toBe(Opcode.r2t)
})
