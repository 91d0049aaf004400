import { expect, test } from 'vitest'
import { AsyncEvent } from '../../src/iscsi-target/wire/async-message.ts'
import { decodeLoginResponse } from '../../src/iscsi-target/wire/login.ts'
import { LoginStatus } from '../../src/iscsi-target/wire/login-status.ts'
import { LogoutReason, LogoutResult } from '../../src/iscsi-target/wire/logout.ts'
import { Opcode, RESERVED_TAG } from '../../src/iscsi-target/wire/opcodes.ts'
import { RejectReason } from '../../src/iscsi-target/wire/rejection.ts'
import type { IscsiInitiator } from '../lib/iscsi-initiator.ts'
import { ManualClock } from '../lib/manual-clock.ts'
import { FakeServer, pattern, read10, TARGET_NAME, write10 } from './serve-fake.ts'

async function tagsOf(initiator: IscsiInitiator, count: number): Promise<number[]> {
  const tags: number[] = []
  for (let i = 0; i < count; i++) tags.push((await initiator.receive()).bhs.readUInt32BE(16))
  return tags
}

async function expectReject(initiator: IscsiInitiator, reason: number): Promise<void> {
  const pdu = await initiator.receive()
  expect([pdu.opcode, pdu.bhs[2]]).toEqual([Opcode.reject, reason])
}

function header(opcode: number, itt = 1): Buffer {
  const bhs = Buffer.alloc(48)
  bhs[0] = opcode
  bhs[1] = 0x80
  bhs.writeUInt32BE(itt, 16)
  return bhs
}

test('order: commands that come early wait for the missing one, duplicates are ignored', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const third = initiator.command(read10(0, 1), { read: 512, cmdSn: 3, itt: 103 })
  const second = initiator.command(read10(0, 1), { read: 512, cmdSn: 2, itt: 102 })
  initiator.command(read10(0, 1), { read: 512, cmdSn: 2, itt: 112 })
  expect(await initiator.isSilent(30)).toBe(true)
  const first = initiator.command(read10(0, 1), { read: 512, cmdSn: 1, itt: 101 })
  expect(await tagsOf(initiator, 3)).toEqual([first, second, third])
  initiator.command(read10(0, 1), { read: 512, cmdSn: 1, itt: 111 })
  expect(await initiator.isSilent(30)).toBe(true)
})

test('order: a command beyond the window is ignored, an immediate one runs at once', async () => {
  await using server = await FakeServer.start({ limits: { commandsPerSessionMax: 4 } })
  const initiator = await server.login()
  initiator.command(read10(0, 1), { read: 512, cmdSn: 5, itt: 105 })
  const immediate = initiator.command(read10(0, 1), { read: 512, immediate: true })
  expect(await tagsOf(initiator, 1)).toEqual([immediate])
  expect(server.target.faults.get('cmdSnOutsideWindow')).toBe(1)
})

test('window: MaxCmdSN closes while commands run and opens with their answers', async () => {
  await using server = await FakeServer.start({ limits: { commandsPerSessionMax: 2 } })
  const initiator = await server.login()
  server.disk.delayMs = 30
  for (let i = 0; i < 2; i++) initiator.command(read10(0, 1), { read: 512 })
  initiator.nopOut()
  const closed = await initiator.receive()
  expect([closed.bhs.readUInt32BE(28), closed.bhs.readUInt32BE(32)]).toEqual([3, 2])
  const first = await initiator.receive()
  expect([first.bhs.readUInt32BE(28), first.bhs.readUInt32BE(32)]).toEqual([3, 3])
  const second = await initiator.receive()
  expect([second.bhs.readUInt32BE(28), second.bhs.readUInt32BE(32)]).toEqual([3, 4])
})

test('status numbers: each answer takes the next StatSN', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const numbers: number[] = []
  for (let i = 0; i < 3; i++) {
    initiator.command(read10(0, 1), { read: 512 })
    numbers.push((await initiator.receive()).bhs.readUInt32BE(24))
  }
  expect(numbers.map(number => number - numbers[0]!)).toEqual([0, 1, 2])
})

test('reject: what the standard does not allow is rejected with its reason, and the session goes on', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  initiator.send(header(0x1d | 0x40))
  await expectReject(initiator, RejectReason.commandNotSupported)
  initiator.send(header(Opcode.snackRequest))
  await expectReject(initiator, RejectReason.snackReject)
  initiator.send(header(Opcode.loginRequest | 0x40))
  await expectReject(initiator, RejectReason.protocolError)
  initiator.command(read10(0, 1), { read: 512, itt: RESERVED_TAG, cmdSn: initiator.cmdSn })
  await expectReject(initiator, RejectReason.invalidPduField)
  server.disk.delayMs = 30
  initiator.command(read10(0, 1), { read: 512, itt: 50 })
  initiator.command(read10(0, 1), { read: 512, itt: 50, cmdSn: initiator.cmdSn })
  await expectReject(initiator, RejectReason.taskInProgress)
  expect(await tagsOf(initiator, 1)).toEqual([50])
  const last = initiator.command(read10(0, 1), { read: 512 })
  expect(await tagsOf(initiator, 1)).toEqual([last])
})

test('reject: immediate commands beyond the limit', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.delayMs = 30
  for (let i = 0; i < 17; i++) initiator.command(read10(0, 1), { read: 512, immediate: true })
  await expectReject(initiator, RejectReason.tooManyImmediateCommands)
  expect(await tagsOf(initiator, 16)).toHaveLength(16)
})

test('reinstatement: the predecessor is gone and its write aborted before the login is answered', async () => {
  await using server = await FakeServer.start()
  const old = await server.login()
  server.disk.delayMs = 60
  old.command(write10(0, 8), { write: 4096, data: pattern(4096) })
  old.nopOut()
  await old.receive()
  const fresh = await server.login()
  await old.closed()
  expect(server.disk.running).toBe(0)
  expect(server.target.sessions()).toHaveLength(1)
  expect(await fresh.isSilent(100)).toBe(true)
  expect(server.disk.writes).toBe(0)
  expect(server.target.faults.get('reinstated')).toBe(1)
})

test('reinstatement: another ISID is another session', async () => {
  await using server = await FakeServer.start()
  await server.login()
  await server.login({ isid: '400000000002' })
  expect(server.target.sessions().map(each => each.isid)).toEqual(['400000000001', '400000000002'])
})

test('connection reinstatement: a login with the TSIH takes the session over, with an unknown one it is refused', async () => {
  await using server = await FakeServer.start()
  const old = await server.login()
  const again = await server.login({ tsih: old.tsih })
  expect(again.tsih).toBe(old.tsih)
  await old.closed()
  expect(server.target.sessions()).toHaveLength(1)
  await expect(server.login({ tsih: 4711 })).rejects.toThrow(`${LoginStatus.sessionDoesNotExist}`)
})

test('limits: one session or connection too many is refused, and counted', async () => {
  await using server = await FakeServer.start({ limits: { sessionsMax: 1, connectionsMax: 2 } })
  await server.login()
  const second = await server.connect()
  await expect(second.login({ target: TARGET_NAME, isid: '400000000002' })).rejects.toThrow(
    `${LoginStatus.outOfResources}`,
  )
  await second.closed()
  await server.connect()
  const fourth = await server.connect()
  await fourth.closed()
  expect(server.target.faults.get('tooManyConnections')).toBe(1)
})

test('login: one that takes too long is closed, and so is what is not iSCSI', async () => {
  const clock = new ManualClock()
  await using server = await FakeServer.start({ clock, limits: { loginTimeoutMs: 1_000 } })
  const slow = await server.connect()
  slow.socket.write(Buffer.from([0x43, 0x87]))
  const stranger = await server.connect()
  stranger.socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n')
  await stranger.closed()
  clock.pass(500)
  expect(await slow.isSilent(20)).toBe(true)
  clock.pass(500)
  await slow.closed()
  expect(server.target.faults.get('loginTimeout')).toBe(1)
})

test('login: a wild data segment length closes the connection', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.connect()
  const bhs = header(Opcode.loginRequest | 0x40)
  bhs.writeUIntBE(0xffffff, 5, 3)
  initiator.send(bhs)
  await initiator.closed()
  expect(server.target.faults.get('dataSegmentTooLong')).toBe(1)
})

test('ping: NOP-Out comes back with its data', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  initiator.nopOut(Buffer.from('are you there'))
  const pdu = await initiator.receive()
  expect([pdu.opcode, pdu.data.toString(), pdu.bhs.readUInt32BE(20)]).toEqual([
    Opcode.nopIn,
    'are you there',
    RESERVED_TAG,
  ])
})

test('ping: a silent initiator is asked; one that answers stays, one that does not is reaped', async () => {
  const clock = new ManualClock()
  await using server = await FakeServer.start({ clock, limits: { pingIdleMs: 1_000, pingTimeoutMs: 2_000 } })
  const alive = await server.login()
  const dead = await server.login({ isid: '400000000002' })
  clock.pass(1_000)
  const ping = await alive.receive()
  expect([ping.opcode, ping.bhs.readUInt32BE(16)]).toEqual([Opcode.nopIn, RESERVED_TAG])
  clock.pass(1)
  alive.nopOut(undefined, RESERVED_TAG, ping.bhs.readUInt32BE(20))
  expect((await dead.receive()).opcode).toBe(Opcode.nopIn)
  expect(await alive.isSilent(20)).toBe(true)
  clock.pass(1_999)
  await dead.closed()
  expect(server.target.faults.get('pingTimeout')).toBe(1)
  expect(server.target.sessions().map(each => each.isid)).toEqual(['400000000001'])
})

test('logout: closes the session, or says why not', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  initiator.logout(LogoutReason.closeConnection, 9)
  expect((await initiator.receive()).bhs[2]).toBe(LogoutResult.cidNotFound)
  initiator.logout(LogoutReason.removeForRecovery)
  expect((await initiator.receive()).bhs[2]).toBe(LogoutResult.recoveryNotSupported)
  initiator.logout(LogoutReason.closeSession)
  const last = await initiator.receive()
  expect([last.opcode, last.bhs[2]]).toEqual([Opcode.logoutResponse, LogoutResult.closed])
  await initiator.closed()
  expect(server.target.sessions()).toEqual([])
  expect(server.disk.detached).toHaveLength(1)
})

test('kick: the sessions that are meant are told and end, others stay', async () => {
  await using server = await FakeServer.start()
  const kicked = await server.login({ initiator: 'iqn.2026-11.test:kicked' })
  const other = await server.login({ initiator: 'iqn.2026-11.test:other' })
  expect(await server.target.kick({ initiator: 'iqn.2026-11.test:kicked' })).toBe(1)
  const told = await kicked.receive()
  expect([told.opcode, told.bhs[36]]).toEqual([Opcode.asyncMessage, AsyncEvent.sessionDropped])
  await kicked.closed()
  other.nopOut()
  expect((await other.receive()).opcode).toBe(Opcode.nopIn)
  const [left] = server.target.sessions()
  expect(left!.initiator).toBe('iqn.2026-11.test:other')
  expect(await server.target.kick({ id: left!.id, target: TARGET_NAME })).toBe(1)
})

test('stop: initiators are asked to log out, what is in flight ends, new commands are refused', async () => {
  await using server = await FakeServer.start({ limits: { stopGraceMs: 2_000 } })
  const initiator = await server.login()
  server.disk.delayMs = 40
  const running = initiator.command(write10(0, 8), { write: 4096, data: pattern(4096) })
  initiator.nopOut()
  await initiator.receive()
  const stopped = server.target.stop()
  const told = await initiator.receive()
  expect([told.opcode, told.bhs[36]]).toEqual([Opcode.asyncMessage, AsyncEvent.logoutRequested])
  initiator.command(read10(0, 1), { read: 512 })
  await expectReject(initiator, RejectReason.waitingForLogout)
  expect(await tagsOf(initiator, 1)).toEqual([running])
  initiator.logout(LogoutReason.closeSession)
  expect((await initiator.receive()).opcode).toBe(Opcode.logoutResponse)
  await stopped
  expect(server.disk.writes).toBe(1)
})

test('portals: several, IPv6 too, each with the address that it is reached by', async () => {
  await using server = await FakeServer.start()
  const second = await server.target.listen('::1', 0)
  expect(second).toMatch(/^\[::1\]:\d+$/)
  expect(server.target.addresses).toEqual([server.address, second])
  const { IscsiInitiator } = await import('../lib/iscsi-initiator.ts')
  await using initiator = await IscsiInitiator.connect(second)
  await initiator.login({ target: TARGET_NAME })
  expect(server.target.sessions()[0]!.portal).toBe(second)
})

test('login answers name a session by TSIH and never 0', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.connect()
  initiator.sendLogin(
    { target: TARGET_NAME },
    { InitiatorName: 'iqn.2026-11.test:x', TargetName: TARGET_NAME },
  )
  const response = decodeLoginResponse((await initiator.receive()).bhs, 0)
  expect(response.statusClass).toBe(0)
  expect(response.tsih).toBeGreaterThan(0)
})
