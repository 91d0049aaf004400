import { setTimeout as delay } from 'node:timers/promises'
import { BHS_BYTES } from '../../src/iscsi-target/wire/bhs.ts'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { below, pick, type Random } from '../crash/random.ts'
import { type FakeServer, pattern, read10, TARGET_NAME, write10 } from '../iscsi/serve-fake.ts'
import type { IscsiInitiator } from '../lib/iscsi-initiator.ts'

export interface Field {
  readonly server: FakeServer
  readonly random: Random
}

type Attack = (field: Field) => Promise<void>

const BLOCK = 512
const FLOOD = 300
const ATTACKED_LUN = 0
/** All but the resets of the whole target, which would rightly disturb whoever uses it. */
const HARMLESS_FUNCTIONS = [0, 1, 2, 3, 4, 5, 8, 9, 77]
const OPCODES = [...Object.values(Opcode), 0x05, 0x1f, 0x2a, 0x3f]

function bytesOf({ random }: Field, lengthBytes: number): Buffer {
  return Buffer.from(Array.from({ length: lengthBytes }, () => below(random, 256)))
}

function spoil(bytes: Buffer, random: Random, times: number): Buffer {
  for (let i = 0; i < times; i++) bytes[below(random, bytes.length)] = below(random, 256)
  return bytes
}

/** Takes whatever the target says, so that its output never holds it up, and goes away in one of two ways. */
async function leave({ random }: Field, initiator: IscsiInitiator): Promise<void> {
  if (below(random, 2) === 0) initiator.socket.resetAndDestroy()
  else initiator.socket.end()
  await delay(0)
}

const mutatedLogin: Attack = async field => {
  const { server, random } = field
  const initiator = await server.connect()
  const keys = {
    InitiatorName: pick(random, ['iqn.2026-11.test:x', '', 'x'.repeat(300), 'IQN.2026-11.test:\u00fc']),
    SessionType: pick(random, ['Normal', 'Discovery', 'Abnormal']),
    TargetName: pick(random, [TARGET_NAME, 'iqn.2026-11.test:none', '']),
    AuthMethod: pick(random, ['CHAP', 'None', 'CHAP,None', 'KRB5', '']),
    CHAP_A: pick(random, ['5', '7,5', '999', 'x']),
    CHAP_R: pick(random, ['0x', `0x${'ab'.repeat(600)}`, '0bAAAA', 'zz']),
    HeaderDigest: pick(random, ['CRC32C', 'None', 'CRC32C,None', 'MD5']),
    MaxBurstLength: pick(random, ['0', '-1', '512', '16777216', '99999999999999999999', '0x200']),
    [pick(random, ['X-nobody', 'TargetAlias', '=', 'a'.repeat(80)])]: 'y'.repeat(below(random, 400)),
  }
  const rounds = 1 + below(random, 4)
  for (let i = 0; i < rounds; i++) {
    const bhs = Buffer.alloc(BHS_BYTES)
    const text = Buffer.from(
      Object.entries(keys)
        .map(([key, value]) => `${key}=${value}\0`)
        .join(''),
    )
    bhs[0] = 0x43
    bhs[1] = pick(random, [0x87, 0x81, 0x04, 0x40, 0x00, 0xff])
    bhs.writeUIntBE(text.length, 5, 3)
    bhs.writeUIntBE(below(random, 2 ** 32), 8, 6)
    spoil(bhs, random, below(random, 4))
    initiator.send(bhs, spoil(text, random, below(random, 6)))
  }
  await delay(below(random, 3))
  await leave(field, initiator)
}

const badLengths: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b1' })
  const data = pattern(below(random, 4000) & ~3)
  const bhs = initiator.commandHeader(write10(0, 8), { write: 4096, data })
  const claimed = pick(random, [0xffffff, data.length + 4, below(random, 2 ** 24), 0])
  bhs.writeUIntBE(claimed, 5, 3)
  initiator.send(bhs, data)
  initiator.socket.write(bytesOf(field, below(random, 3000)))
  await leave(field, initiator)
}

const truncated: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b2' })
  const whole = initiator.frame(initiator.commandHeader(write10(0, 8), { write: 4096 }), pattern(4096))
  initiator.socket.write(whole.subarray(0, 1 + below(random, whole.length - 1)))
  await delay(below(random, 3))
  await leave(field, initiator)
}

const wildAhs: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b3' })
  const bhs = initiator.commandHeader(read10(0, 1), { read: BLOCK })
  bhs[4] = below(random, 256)
  const ahs = bytesOf(field, pick(random, [bhs[4]! * 4, below(random, 1024)]))
  if (ahs.length > 3 && below(random, 2) === 0) {
    ahs.writeUInt16BE(below(random, 300), 0)
    ahs[2] = pick(random, [1, 2, 0, 0xff])
  }
  initiator.socket.write(Buffer.concat([bhs, ahs]))
  await leave(field, initiator)
}

const unexpectedOpcodes: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b4' })
  const count = 1 + below(random, 30)
  for (let i = 0; i < count; i++) {
    const bhs = bytesOf(field, BHS_BYTES)
    bhs[0] = pick(random, OPCODES) | pick(random, [0, 0x40, 0x80])
    if ((bhs[0]! & 0x3f) === Opcode.taskManagementRequest) bhs[1] = 0x80 | pick(random, HARMLESS_FUNCTIONS)
    bhs[4] = 0
    const data = bytesOf(field, below(random, 3) === 0 ? below(random, 200) : 0)
    bhs.writeUIntBE(data.length, 5, 3)
    if (below(random, 2) === 0) bhs.writeUInt32BE(initiator.cmdSn, 24)
    initiator.send(bhs, data)
  }
  await leave(field, initiator)
}

const wrongDataSn: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({
    isid: '4000000000b5',
    keys: { InitialR2T: 'Yes', ImmediateData: 'No' },
  })
  const itt = initiator.command(write10(0, 64), { write: 64 * BLOCK })
  const r2t = await initiator.receive().catch(() => null)
  if (r2t?.opcode === Opcode.r2t) {
    initiator.dataOut({
      itt: pick(random, [itt, itt + 1, 0xffffffff]),
      ttt: pick(random, [r2t.bhs.readUInt32BE(20), below(random, 2 ** 32)]),
      dataSn: pick(random, [0, 1, 7, 0xffffffff]),
      offset: pick(random, [0, 512, 4, 64 * BLOCK, 2 ** 31]),
      data: pattern(8192),
      final: below(random, 2) === 0,
    })
  }
  await delay(below(random, 4))
  await leave(field, initiator)
}

const dataBeyondGrant: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b6' })
  const data = pattern(8192)
  const itt = initiator.command(write10(0, 8), { write: 4096, data: data.subarray(0, 4096), final: false })
  const count = 1 + below(random, 40)
  for (let i = 0; i < count; i++) {
    initiator.dataOut({ itt, dataSn: i, offset: (i * 8192) % 2 ** 31, data, final: false })
  }
  await leave(field, initiator)
}

const digestErrors: Attack = async field => {
  const { server, random } = field
  const keys = { HeaderDigest: 'CRC32C', DataDigest: 'CRC32C' }
  const initiator = await server.login({ isid: '4000000000b7', keys })
  const data = pattern(4096)
  for (let i = 0; i < 4; i++) {
    const bhs = initiator.commandHeader(write10(0, 8), { write: 4096, data })
    initiator.send(bhs, data, pick(random, ['header', 'data', undefined]))
  }
  await delay(below(random, 3))
  await leave(field, initiator)
}

const halfOpen: Attack = async field => {
  const { server, random } = field
  const silent = await Promise.all(Array.from({ length: 20 }, () => server.connect()))
  for (const initiator of silent) {
    if (below(random, 2) === 0) initiator.socket.write(bytesOf(field, below(random, BHS_BYTES)))
  }
  await delay(below(random, 20))
  await Promise.all(silent.map(initiator => leave(field, initiator)))
}

const manyConnections: Attack = async field => {
  const { server } = field
  const all = await Promise.allSettled(Array.from({ length: FLOOD }, () => server.connect()))
  for (const each of all) if (each.status === 'fulfilled') each.value.socket.resetAndDestroy()
}

const neverReads: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000b8' })
  initiator.socket.pause()
  for (let i = 0; i < 60; i++) initiator.command(read10(0, 2048), { read: 2048 * BLOCK })
  await delay(5 + below(random, 30))
  initiator.socket.resetAndDestroy()
}

const oneByteAtATime: Attack = async field => {
  const { server } = field
  const initiator = await server.login({ isid: '4000000000b9' })
  const whole = initiator.frame(initiator.commandHeader(read10(0, 1), { read: BLOCK }))
  for (const byte of whole) {
    initiator.socket.write(Buffer.of(byte))
    await delay(0)
  }
  await initiator.receive()
  await leave(field, initiator)
}

/** A login that never gets anywhere: the time for logins ends it. */
const oneByteASecond: Attack = async field => {
  const { server, random } = field
  const initiator = await server.connect()
  for (let second = 0; second < 4; second++) {
    initiator.socket.write(bytesOf({ server, random }, 1))
    await delay(1000)
  }
  await initiator.closed()
}

const wildTasks: Attack = async field => {
  const { server, random } = field
  const initiator = await server.login({ isid: '4000000000ba' })
  const itt = initiator.command(write10(0, 64), { write: 64 * BLOCK })
  for (let i = 0; i < 10; i++) {
    const referenced = pick(random, [itt, 0xffffffff, below(random, 100)])
    const lun = pick(random, [ATTACKED_LUN, 2, 200])
    initiator.manageTasks(pick(random, HARMLESS_FUNCTIONS), referenced, below(random, 5), lun)
  }
  initiator.command(read10(0, 1), { read: BLOCK, cmdSn: below(random, 2 ** 32) })
  await leave(field, initiator)
}

/** Every way to misbehave that the fuzzer knows, by name. */
export const ATTACKS: Readonly<Record<string, Attack>> = {
  mutatedLogin,
  badLengths,
  truncated,
  wildAhs,
  unexpectedOpcodes,
  wrongDataSn,
  dataBeyondGrant,
  digestErrors,
  halfOpen,
  manyConnections,
  neverReads,
  oneByteAtATime,
  oneByteASecond,
  wildTasks,
}
