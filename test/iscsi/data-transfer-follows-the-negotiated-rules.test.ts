import { expect, test } from 'vitest'
import { blankDataIn, decodeDataIn } from '../../src/iscsi-target/wire/data-in.ts'
import { Opcode } from '../../src/iscsi-target/wire/opcodes.ts'
import { blankR2t, decodeR2t } from '../../src/iscsi-target/wire/r2t.ts'
import { RejectReason } from '../../src/iscsi-target/wire/rejection.ts'
import { blankScsiResponse, decodeScsiResponse } from '../../src/iscsi-target/wire/scsi-response.ts'
import { TaskAttribute } from '../../src/scsi/scsi-command.ts'
import { TargetDevice } from '../../src/scsi/target-device.ts'
import type { IscsiInitiator, ReceivedPdu } from '../lib/iscsi-initiator.ts'
import { MemoryVolume } from '../lib/memory-volume.ts'
import { FakeServer, MIB, pattern, read10, TARGET_NAME, write10 } from './serve-fake.ts'

const CHECK_CONDITION = 0x02
const OVERFLOW = 0x04
const UNDERFLOW = 0x02

function dataIn(pdu: ReceivedPdu) {
  expect(pdu.opcode).toBe(Opcode.dataIn)
  const fields = blankDataIn()
  decodeDataIn(pdu.bhs, 0, fields)
  return fields
}

function r2t(pdu: ReceivedPdu) {
  expect(pdu.opcode).toBe(Opcode.r2t)
  const fields = blankR2t()
  decodeR2t(pdu.bhs, 0, fields)
  return fields
}

function response(pdu: ReceivedPdu) {
  expect(pdu.opcode).toBe(Opcode.scsiResponse)
  const fields = blankScsiResponse()
  decodeScsiResponse(pdu.bhs, 0, fields)
  const sense = pdu.data.length > 2 ? [pdu.data[4]!, pdu.data[14]!, pdu.data[15]!] : null
  return { ...fields, sense }
}

/** Reads whole PDUs until status; answers the data. */
async function readAll(initiator: IscsiInitiator): Promise<Buffer> {
  const parts: Buffer[] = []
  for (;;) {
    const pdu = await initiator.receive()
    const fields = dataIn(pdu)
    parts.push(pdu.data)
    if ((fields.flags & 1) !== 0) return Buffer.concat(parts)
  }
}

for (const receiveByEvents of [false, true]) {
  const how = receiveByEvents ? "'data' events" : 'buffers of our own'

  test(`transfer: with ${how}, what was written in every way is read back`, async () => {
    await using server = await FakeServer.start({ receiveByEvents })
    const keys = {
      MaxBurstLength: '1048576',
      FirstBurstLength: '262144',
      MaxRecvDataSegmentLength: '262144',
      MaxOutstandingR2T: '4',
    }
    const initiator = await server.login({ keys })
    const data = pattern(4 * MIB)
    for (const [blocks, immediate] of [
      [8, 4096],
      [512, 0],
      [512, 100_000],
      [2048, 200_000],
      [4096, 262_144],
    ] as const) {
      const whole = data.subarray(0, blocks * 512)
      const itt = initiator.command(write10(0, blocks), {
        write: whole.length,
        data: whole.subarray(0, immediate),
      })
      for (let got = immediate; got < whole.length; ) {
        const asked = r2t(await initiator.receive())
        const wanted = whole.subarray(asked.bufferOffset, asked.bufferOffset + asked.desiredLength)
        for (let at = 0, dataSn = 0; at < wanted.length; at += 131_072, dataSn++) {
          const piece = wanted.subarray(at, at + 131_072)
          const final = at + piece.length === wanted.length
          initiator.dataOut({
            itt,
            ttt: asked.ttt,
            dataSn,
            offset: asked.bufferOffset + at,
            data: piece,
            final,
          })
        }
        got += wanted.length
      }
      expect(response(await initiator.receive())).toMatchObject({ status: 0, flags: 0 })
      initiator.command(read10(0, blocks), { read: whole.length })
      expect((await readAll(initiator)).equals(whole)).toBe(true)
      server.disk.memory.fill(0)
    }
  })
}

test('read: Data-In is cut at MaxRecvDataSegmentLength, F ends each burst, status is in the last', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.memory.set(pattern(MIB))
  initiator.command(read10(0, 48), { read: 48 * 512 })
  const pdus = [await initiator.receive(), await initiator.receive(), await initiator.receive()]
  const seen = pdus.map(pdu => dataIn(pdu))
  expect(pdus.map(pdu => pdu.data.length)).toEqual([8192, 8192, 8192])
  expect(seen.map(({ dataSn, bufferOffset }) => [dataSn, bufferOffset])).toEqual([
    [0, 0],
    [1, 8192],
    [2, 16384],
  ])
  expect(seen.map(({ flags }) => flags)).toEqual([0, 0x80, 0x81])
})

test('read: without the data to hand it is fetched, and answered after what came later', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.memory.set(pattern(MIB))
  server.disk.fetchMs = 20
  initiator.command(read10(0, 16), { read: 8192 })
  initiator.nopOut()
  expect((await initiator.receive()).opcode).toBe(Opcode.nopIn)
  expect((await readAll(initiator)).equals(pattern(MIB).subarray(0, 8192))).toBe(true)
})

test('read: data that turns out bad in the middle ends in CHECK CONDITION with what was not sent as residual', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  server.disk.failAtOffset = 8192
  initiator.command(read10(0, 32), { read: 16384 })
  expect(dataIn(await initiator.receive())).toMatchObject({ dataSn: 0, flags: 0 })
  const answer = response(await initiator.receive())
  expect(answer).toMatchObject({
    status: CHECK_CONDITION,
    flags: UNDERFLOW,
    residual: 8192,
    sense: [3, 0x11, 0],
  })
})

test('residual: less room than data is an overflow, more room an underflow, for reads and writes', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  initiator.command(read10(0, 2), { read: 512 })
  expect(dataIn(await initiator.receive())).toMatchObject({ flags: 0x81 | OVERFLOW, residual: 512 })
  initiator.command(read10(0, 1), { read: 2048 })
  expect(dataIn(await initiator.receive())).toMatchObject({ flags: 0x81 | UNDERFLOW, residual: 1536 })
  initiator.command(read10(0, 1), {})
  expect(response(await initiator.receive())).toMatchObject({ status: 0, flags: OVERFLOW, residual: 512 })
  initiator.command(write10(0, 1), { write: 1024, data: pattern(1024) })
  expect(response(await initiator.receive())).toMatchObject({ status: 0, flags: UNDERFLOW, residual: 512 })
  initiator.command(write10(0, 4), { write: 1024, data: pattern(1024) })
  expect(response(await initiator.receive())).toMatchObject({ status: 0, flags: OVERFLOW, residual: 1024 })
})

test('write: a bidirectional command is refused after its data was swallowed', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const itt = initiator.command(write10(0, 16), { write: 8192, read: 512, data: pattern(4096), final: false })
  expect(await initiator.isSilent(30)).toBe(true)
  initiator.dataOut({ itt, offset: 4096, data: pattern(4096) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: [5, 0x0e, 3] })
  expect(server.disk.writes).toBe(0)
})

test('write: what fails in transfer has sense data in the format that the unit is set to', async () => {
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const device = new TargetDevice({ name: TARGET_NAME, identity })
  await device.setUnits(new Map([[0, { volume: new MemoryVolume(), readOnly: false }]]))
  await using server = await FakeServer.start({}, device)
  const initiator = await server.login()
  const short = async () => {
    const itt = initiator.command(write10(0, 8), { write: 4096, final: false })
    initiator.dataOut({ itt, offset: 0, data: pattern(2048) })
    const { data } = await initiator.receive()
    return [...data.subarray(2)]
  }
  expect((await short()).slice(0, 3)).toEqual([0x70, 0, 0x0b])
  device.unit(0)!.modes.descriptorSense = true
  expect(await short()).toEqual([0x72, ...INCORRECT, 0, 0, 0, 0])
})

test('write: unsolicited data up to FirstBurstLength, then R2Ts of at most MaxBurstLength, one at a time', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const data = pattern(64 * 512)
  const itt = initiator.command(write10(8, 64), {
    write: data.length,
    data: data.subarray(0, 4096),
    final: false,
  })
  initiator.dataOut({ itt, offset: 4096, data: data.subarray(4096, 8192) })
  const first = r2t(await initiator.receive())
  expect(first).toMatchObject({ r2tSn: 0, bufferOffset: 8192, desiredLength: 16384 })
  expect(await initiator.isSilent(20)).toBe(true)
  initiator.dataOut({ itt, ttt: first.ttt, offset: 8192, data: data.subarray(8192, 16384), final: false })
  initiator.dataOut({ itt, ttt: first.ttt, dataSn: 1, offset: 16384, data: data.subarray(16384, 24576) })
  const second = r2t(await initiator.receive())
  expect(second).toMatchObject({ r2tSn: 1, bufferOffset: 24576, desiredLength: 8192 })
  initiator.dataOut({ itt, ttt: second.ttt, offset: 24576, data: data.subarray(24576) })
  expect(response(await initiator.receive())).toMatchObject({ status: 0, expDataSn: 2 })
  expect(server.disk.memory.subarray(8 * 512, 72 * 512).equals(data)).toBe(true)
})

test('write: MaxOutstandingR2T of them are asked for at once', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login({ keys: { MaxOutstandingR2T: '3', ImmediateData: 'No' } })
  const data = pattern(4 * 16384)
  const itt = initiator.command(write10(0, 128), { write: data.length })
  const asked = [
    r2t(await initiator.receive()),
    r2t(await initiator.receive()),
    r2t(await initiator.receive()),
  ]
  expect(asked.map(each => each.bufferOffset)).toEqual([0, 16384, 32768])
  expect(await initiator.isSilent(20)).toBe(true)
  for (const { ttt, bufferOffset } of asked) {
    initiator.dataOut({
      itt,
      ttt,
      offset: bufferOffset,
      data: data.subarray(bufferOffset, bufferOffset + 8192),
      final: false,
    })
    initiator.dataOut({
      itt,
      ttt,
      dataSn: 1,
      offset: bufferOffset + 8192,
      data: data.subarray(bufferOffset + 8192, bufferOffset + 16384),
    })
  }
  const last = r2t(await initiator.receive())
  initiator.dataOut({ itt, ttt: last.ttt, offset: 49152, data: data.subarray(49152, 57344), final: false })
  initiator.dataOut({ itt, ttt: last.ttt, dataSn: 1, offset: 57344, data: data.subarray(57344) })
  expect(response(await initiator.receive())).toMatchObject({ status: 0, expDataSn: 4 })
  expect(server.disk.memory.subarray(0, data.length).equals(data)).toBe(true)
})

const UNEXPECTED = [0x0b, 0x0c, 0x0c]
const INCORRECT = [0x0b, 0x0c, 0x0d]
const SEQUENCE = [0x0b, 0x47, 0x05]

test('write: immediate data that was not agreed on fails the command', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login({ keys: { ImmediateData: 'No', InitialR2T: 'Yes' } })
  initiator.command(write10(0, 1), { write: 512, data: pattern(512) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: UNEXPECTED })
  const itt = initiator.command(write10(0, 1), { write: 512, final: false })
  initiator.dataOut({ itt, offset: 0, data: pattern(512) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: UNEXPECTED })
  expect(server.disk.writes).toBe(0)
})

test('write: unsolicited data beyond FirstBurstLength, or short of it, fails the command once it has ended', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const data = pattern(16384)
  const beyond = initiator.command(write10(0, 32), {
    write: data.length,
    data: data.subarray(0, 8192),
    final: false,
  })
  initiator.dataOut({ itt: beyond, offset: 8192, data: data.subarray(8192) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: UNEXPECTED })
  const short = initiator.command(write10(0, 32), { write: data.length, final: false })
  initiator.dataOut({ itt: short, offset: 0, data: data.subarray(0, 4096) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: INCORRECT })
  expect(server.disk.writes).toBe(0)
})

test('write: a wrong DataSN, a wrong offset and a short burst each fail the command after its last Data-Out', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const data = pattern(16384)
  const wrongs = [
    { change: { dataSn: 1 }, sense: SEQUENCE },
    { change: { offset: 4096 }, sense: SEQUENCE },
    { change: { data: data.subarray(8192, 12288) }, sense: INCORRECT },
  ]
  for (const { change, sense } of wrongs) {
    const itt = initiator.command(write10(0, 32), { write: data.length, data: data.subarray(0, 8192) })
    const { ttt } = r2t(await initiator.receive())
    initiator.dataOut({ itt, ttt, offset: 8192, data: data.subarray(8192), ...change })
    expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense })
  }
  expect(server.disk.writes).toBe(0)
  expect(server.disk.running).toBe(0)
})

test('write: Data-Out with a tag that was never given out is rejected, for a task that is over swallowed', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  initiator.dataOut({ itt: 77, ttt: 0x4000, offset: 0, data: pattern(512) })
  const reject = await initiator.receive()
  expect([reject.opcode, reject.bhs[2]]).toEqual([Opcode.reject, RejectReason.invalidPduField])
  const itt = initiator.command(write10(0, 17), { write: 17 * 512, data: pattern(8192) })
  const { ttt } = r2t(await initiator.receive())
  initiator.dataOut({ itt, ttt, offset: 8192, data: pattern(512) })
  expect(response(await initiator.receive())).toMatchObject({ status: 0 })
  initiator.dataOut({ itt, ttt, offset: 8192, data: pattern(512) })
  initiator.dataOut({ itt, offset: 0, data: pattern(512) })
  expect(await initiator.isSilent(30)).toBe(true)
  expect(server.target.faults.get('dataOutSwallowed')).toBe(3)
})

test('write: a command that is refused before its data answers after the unsolicited data was sent', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const itt = initiator.command(write10(0x7fffffff, 8), { write: 4096, final: false })
  expect(await initiator.isSilent(30)).toBe(true)
  initiator.dataOut({ itt, offset: 0, data: pattern(4096) })
  expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense: [5, 0x21, 0] })
})

test('write: a command that is refused before its data answers when that data is wrong, too', async () => {
  await using server = await FakeServer.start()
  const initiator = await server.login()
  const wrongs = [
    { change: { dataSn: 1 }, sense: SEQUENCE },
    { change: { data: pattern(2048) }, sense: INCORRECT },
  ]
  for (const { change, sense } of wrongs) {
    const itt = initiator.command(write10(0x7fffffff, 8), { write: 4096, final: false })
    initiator.dataOut({ itt, offset: 0, data: pattern(4096), ...change })
    expect(response(await initiator.receive())).toMatchObject({ status: CHECK_CONDITION, sense })
  }
  expect([...server.target.liveSessions()][0]!.slots.used).toBe(0)
})

test('write: data beyond what a session may keep waits for its R2T until another write has ended', async () => {
  await using server = await FakeServer.start({ limits: { dataOutBytesPerSessionMax: 65536 } })
  const initiator = await server.login({ keys: { ImmediateData: 'No', MaxBurstLength: '65536' } })
  const data = pattern(65536)
  const itts = [0, 1].map(() => initiator.command(write10(0, 128), { write: data.length }))
  const first = r2t(await initiator.receive())
  expect(first.itt).toBe(itts[0])
  expect(await initiator.isSilent(30)).toBe(true)
  for (const itt of itts) {
    const { ttt } = itt === itts[0] ? first : r2t(await initiator.receive())
    for (let i = 0; i < 8; i++) {
      const offset = i * 8192
      initiator.dataOut({
        itt,
        ttt,
        dataSn: i,
        offset,
        data: data.subarray(offset, offset + 8192),
        final: i === 7,
      })
    }
    const answer = await initiator.receive()
    expect(answer.bhs.readUInt32BE(16)).toBe(itt)
  }
})

test('write: where unsolicited data alone fills what a session may keep, one write after another gets the rest', async () => {
  await using server = await FakeServer.start({ limits: { dataOutBytesPerSessionMax: 65536 } })
  const initiator = await server.login({ keys: { FirstBurstLength: '16384', MaxBurstLength: '65536' } })
  const data = pattern(65536)
  const first = data.subarray(0, 8192)
  const itts = [0, 1, 2].map(() => initiator.command(write10(0, 128), { write: data.length, data: first }))
  for (const itt of itts) {
    const { ttt, ...asked } = r2t(await initiator.receive())
    expect(asked).toMatchObject({ itt, bufferOffset: 8192, desiredLength: 57344 })
    for (let offset = 8192, dataSn = 0; offset < data.length; offset += 8192, dataSn++) {
      const [piece, final] = [data.subarray(offset, offset + 8192), offset + 8192 === data.length]
      initiator.dataOut({ itt, ttt, dataSn, offset, data: piece, final })
    }
    expect(response(await initiator.receive())).toMatchObject({ itt, status: 0 })
  }
})

test('memory: a write that waits for room gets it before what is ordered behind it, whose data is here already', async () => {
  const identity = { vendor: 'HOLDFAST', product: 'volume', revision: '0.1' }
  const device = new TargetDevice({ name: TARGET_NAME, identity })
  const volume = new MemoryVolume()
  await device.setUnits(new Map([[0, { volume, readOnly: false }]]))
  await using server = await FakeServer.start({ limits: { dataOutBytesPerSessionMax: 16_384 } }, device)
  const initiator = await server.login()
  volume.delayMs = 40
  const first = initiator.command(write10(0, 32), { write: 16_384, data: pattern(8192) })
  const { ttt } = r2t(await initiator.receive())
  const waiting = initiator.command(write10(64, 32), { write: 16_384, data: pattern(8192) })
  const header = initiator.commandHeader(write10(128, 16), { write: 8192, data: pattern(8192) })
  header[1] = header[1]! | TaskAttribute.ordered
  initiator.send(header, pattern(8192))
  initiator.dataOut({ itt: first, ttt, offset: 8192, data: pattern(8192) })
  expect(response(await initiator.receive())).toMatchObject({ itt: first, status: 0 })
  const asked = r2t(await initiator.receive())
  expect(asked.itt).toBe(waiting)
  initiator.dataOut({ itt: waiting, ttt: asked.ttt, offset: 8192, data: pattern(8192) })
  const ended = [response(await initiator.receive()), response(await initiator.receive())]
  expect(ended.map(({ itt }) => itt)).toEqual([waiting, header.readUInt32BE(16)])
})
