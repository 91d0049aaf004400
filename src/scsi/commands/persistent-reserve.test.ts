import { expect, test } from 'vitest'
import { cdb, reserveOutList, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import type { ScsiInitiator } from '../../../test/lib/scsi-initiator.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { decodeTransportId, encodeTransportId } from '../transport-id.ts'

const Out = {
  register: 0,
  reserve: 1,
  release: 2,
  clear: 3,
  preempt: 4,
  preemptAndAbort: 5,
  ignore: 6,
} as const
const In = { keys: 0, reservation: 1, capabilities: 2, fullStatus: 3 } as const
const EXCLUSIVE_ACCESS = 3
const WRITE_EXCLUSIVE = 1
const WRITE_EXCLUSIVE_REGISTRANTS = 5
const conflict = ScsiStatus.reservationConflict

const out = (
  initiator: ScsiInitiator,
  action: keyof typeof Out,
  key: bigint,
  otherKey = 0n,
  type = 0,
  flags = 0,
) => initiator.run(cdb.reserveOut(Out[action], type), { dataOut: reserveOutList(key, otherKey, flags) })

const tur = async (initiator: ScsiInitiator) => (await initiator.run(cdb.testUnitReady())).code

/** Two registered initiators, the first holding a reservation of `type`, and an unregistered third. */
async function reserved(type: number) {
  const device = await ScsiDevice.serve()
  const [one, two, three] = [device.initiator(), device.initiator(), device.initiator()]
  await out(one, 'register', 0n, 0x11n)
  await out(two, 'register', 0n, 0x22n)
  await out(one, 'reserve', 0x11n, 0n, type)
  return { device, volume: device.volume, one, two, three }
}

test('what a foreign exclusive reservation refuses and lets through', async () => {
  const { two, three } = await reserved(EXCLUSIVE_ACCESS)
  for (const initiator of [two, three]) {
    const refused = [
      cdb.read10(0, 1),
      cdb.write10(0, 1),
      cdb.read10(0, 0),
      cdb.verify10(0, 1),
      cdb.synchronizeCache10(),
      cdb.modeSense6(0x3f),
      cdb.reportOperationCodes(0),
      [0x1b, 0, 0, 0, 0, 0],
    ]
    for (const command of refused) expect((await initiator.run(command)).status).toBe(conflict)
    const allowed = [
      cdb.inquiry(),
      cdb.reportLuns(),
      cdb.testUnitReady(),
      cdb.requestSense(),
      [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      cdb.reserveIn(In.keys),
      [0x1b, 0, 0, 0, 1, 0],
    ]
    for (const command of allowed) expect((await initiator.run(command)).status).toBe(ScsiStatus.good)
  }
})

test('under write exclusive others may read and verify, and not write', async () => {
  const { one, three } = await reserved(WRITE_EXCLUSIVE)
  expect((await three.run(cdb.read10(0, 1))).status).toBe(ScsiStatus.good)
  expect((await three.run(cdb.verify10(0, 1))).status).toBe(ScsiStatus.good)
  expect((await three.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })).status).toBe(conflict)
  expect((await one.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })).status).toBe(ScsiStatus.good)
})

test('a write that began before the reservation is refused when it is carried out', async () => {
  const device = await ScsiDevice.serve()
  const [one, two] = [device.initiator(), device.initiator()]
  const write = two.begin(cdb.write10(0, 1), { dataOut: Buffer.alloc(512, 1) })
  await out(one, 'register', 0n, 1n)
  await out(one, 'reserve', 1n, 0n, EXCLUSIVE_ACCESS)
  write.execute()
  expect((await write.answer)?.status).toBe(conflict)
  expect(device.volume.bytes[0]).toBe(0)
})

test('READ KEYS, READ RESERVATION, REPORT CAPABILITIES and READ FULL STATUS tell what is', async () => {
  const { one } = await reserved(WRITE_EXCLUSIVE)
  const keys = (await one.run(cdb.reserveIn(In.keys))).data
  expect([keys.readUInt32BE(0), keys.readUInt32BE(4)]).toEqual([2, 16])
  expect([keys.readBigUInt64BE(8), keys.readBigUInt64BE(16)]).toEqual([0x11n, 0x22n])
  const reservation = (await one.run(cdb.reserveIn(In.reservation))).data
  expect([reservation.readUInt32BE(4), reservation.readBigUInt64BE(8), reservation[21]]).toEqual([
    16,
    0x11n,
    1,
  ])
  const capabilities = (await one.run(cdb.reserveIn(In.capabilities))).data
  expect([...capabilities]).toEqual([0, 8, 0x0d, 0xa0, 0xea, 0x01, 0, 0])
  const full = (await one.run(cdb.reserveIn(In.fullStatus))).data
  expect(full.readBigUInt64BE(8)).toBe(0x11n)
  expect([full[20], full[21], full.readUInt16BE(26)]).toEqual([1, 1, 1])
  const idLength = full.readUInt32BE(28)
  expect([full[32], full.readUInt16BE(34)]).toEqual([0x45, idLength - 4])
  const name = full.toString('utf8', 36, 32 + idLength).replace(/\0+$/, '')
  expect(name).toBe('iqn.2026-11.test:one,i,0x000000000001')
  expect(full.readBigUInt64BE(32 + idLength)).toBe(0x22n)
  expect(full[32 + idLength + 12]).toBe(0)
})

test('the others are told by unit attention, oneself is not', async () => {
  const { one, two } = await reserved(WRITE_EXCLUSIVE_REGISTRANTS)
  await out(one, 'release', 0x11n, 0n, WRITE_EXCLUSIVE_REGISTRANTS)
  expect(await tur(two)).toEqual([0x6, 0x2a, 0x04])
  await out(two, 'preempt', 0x22n, 0x11n, WRITE_EXCLUSIVE)
  expect(await tur(one)).toEqual([0x6, 0x2a, 0x05])
  await out(one, 'register', 0n, 0x11n)
  await out(two, 'clear', 0x22n)
  expect(await tur(one)).toEqual([0x6, 0x2a, 0x03])
  expect(await tur(two)).toBeNull()
})

test('PREEMPT AND ABORT: its status comes when the victim’s writes can have no effect any more', async () => {
  const { volume, one, two } = await reserved(WRITE_EXCLUSIVE)
  volume.delayMs = 40
  const writes = [0, 1].map(lba => one.begin(cdb.write10(lba, 1), { dataOut: Buffer.alloc(512, 1) }))
  for (const write of writes) write.execute()
  const collecting = one.begin(cdb.write10(2, 1), { dataOut: Buffer.alloc(512, 1) })
  const fenced = await out(two, 'preemptAndAbort', 0x22n, 0x11n, WRITE_EXCLUSIVE)
  expect(fenced.status).toBe(ScsiStatus.good)
  volume.delayMs = null
  collecting.execute()
  for (const write of [...writes, collecting]) {
    expect((await write.answer)?.status).toBe(ScsiStatus.taskAborted)
  }
  await new Promise(resolve => setTimeout(resolve, 80))
  expect(volume.bytes.subarray(0, 3 * 512).every(byte => byte === 0)).toBe(true)
  expect(await tur(one)).toEqual([0x6, 0x2a, 0x05])
  expect(await tur(one)).toBeNull()
  expect((await one.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })).status).toBe(conflict)
})

test('reservations hold through every target that serves the volume', async () => {
  const { volume } = await reserved(EXCLUSIVE_ACCESS)
  const elsewhere = await ScsiDevice.serve()
  await elsewhere.target.setUnits(new Map([[0, { volume, readOnly: false }]]))
  const initiator = elsewhere.initiator()
  const holder = await initiator.run(cdb.read10(0, 1))
  expect(holder.status).toBe(ScsiStatus.good)
  expect((await elsewhere.initiator().run(cdb.read10(0, 1))).status).toBe(conflict)
})

test('a storage that fails fails the command, and nothing is in force', async () => {
  const { volume, one, two } = await reserved(EXCLUSIVE_ACCESS)
  volume.storage.failure = { error: new Error('no quorum'), appliesAnyway: false }
  expect((await out(one, 'clear', 0x11n)).code).toEqual([0x2, 0x04, 0x01])
  expect((await two.run(cdb.read10(0, 1))).status).toBe(conflict)
})

test('parameter lists and fields that are refused', async () => {
  const { one, two } = await reserved(WRITE_EXCLUSIVE)
  const short = await one.run([0x5f, 0, 0, 0, 0, 0, 0, 0, 20, 0], { dataOut: Buffer.alloc(20) })
  expect(short.code).toEqual([0x5, 0x1a, 0x00])
  const cut = await one.run(cdb.reserveOut(Out.register), { dataOut: Buffer.alloc(20) })
  expect(cut.code).toEqual([0x5, 0x1a, 0x00])
  for (const type of [0, 2, 4, 9, 0x11]) {
    expect((await out(two, 'reserve', 0x22n, 0n, type)).code).toEqual([0x5, 0x24, 0x00])
  }
  expect((await out(one, 'release', 0x11n, 0n, EXCLUSIVE_ACCESS)).code).toEqual([0x5, 0x26, 0x04])
  expect((await out(two, 'preempt', 0x22n, 0n, WRITE_EXCLUSIVE)).code).toEqual([0x5, 0x26, 0x00])
  expect((await out(two, 'preempt', 0x22n, 0x11n, 9)).code).toEqual([0x5, 0x24, 0x00])
})

const SPEC_I_PT = 0x08
const ALL_TG_PT = 0x04
const APTPL = 0x01

function withPorts(key: bigint, newKey: bigint, ports: readonly Buffer[], flags = SPEC_I_PT): Buffer {
  const ids = Buffer.concat(ports)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(ids.length)
  return Buffer.concat([reserveOutList(key, newKey, flags), length, ids])
}

const outOf = (action: number, list: Buffer) => [0x5f, action, 0, 0, 0, ...be32(list.length), 0]

function be32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

test('SPEC_I_PT registers the named initiator ports too, and READ FULL STATUS shows where', async () => {
  const device = await ScsiDevice.serve()
  const [one, two] = [device.initiator(), device.initiator()]
  const list = withPorts(0n, 0x11n, [encodeTransportId(two.nexus)], SPEC_I_PT | ALL_TG_PT | APTPL)
  expect((await one.run(outOf(Out.register, list), { dataOut: list })).status).toBe(ScsiStatus.good)
  expect((await out(two, 'reserve', 0x11n, 0n, EXCLUSIVE_ACCESS)).status).toBe(ScsiStatus.good)
  const full = (await one.run(cdb.reserveIn(In.fullStatus))).data
  // R_HOLDER and ALL_TG_PT.
  expect([full[8 + 12], full.readUInt16BE(8 + 18)]).toEqual([0x02, 0])
  const second = 8 + 24 + full.readUInt32BE(8 + 20)
  expect([full[second + 12], full[second + 13]]).toEqual([0x03, EXCLUSIVE_ACCESS])
  expect(decodeTransportId(full.subarray(second + 24))?.port).toEqual({
    initiatorName: two.nexus.initiatorName,
    isid: two.nexus.isid,
  })
  expect((await one.run(cdb.read10(0, 1))).status).toBe(conflict)
})

test('SPEC_I_PT where it has no place, and lists that do not add up', async () => {
  const device = await ScsiDevice.serve()
  const [one, two] = [device.initiator(), device.initiator()]
  const ignoring = await out(one, 'ignore', 0n, 0x11n, 0, SPEC_I_PT)
  expect(ignoring.code).toEqual([0x5, 0x26, 0x00])
  expect([...ignoring.sense.subarray(15, 18)]).toEqual([0x8b, 0, 20])
  const id = encodeTransportId(two.nexus)
  const whole = withPorts(0n, 0x11n, [id])
  const send = async (list: Buffer) => (await one.run(outOf(Out.register, list), { dataOut: list })).code
  for (const list of [whole.subarray(0, 24), whole.subarray(0, 26), whole.subarray(0, whole.length - 4)]) {
    expect(await send(list)).toEqual([0x5, 0x1a, 0x00])
  }
  const nameless = Buffer.from(id)
  nameless[0] = 0x05
  expect(await send(withPorts(0n, 0x11n, [nameless]))).toEqual([0x5, 0x26, 0x00])
  expect(await send(withPorts(0n, 0x11n, [id], 0))).toEqual([0x5, 0x1a, 0x00])
  expect(await send(withPorts(0n, 0x11n, [encodeTransportId(one.nexus)]))).toEqual([0x5, 0x26, 0x00])
  await out(one, 'register', 0n, 0x11n)
  // Not a registration: SPEC_I_PT and ALL_TG_PT mean nothing.
  expect((await out(one, 'reserve', 0x11n, 0n, EXCLUSIVE_ACCESS, SPEC_I_PT | ALL_TG_PT)).code).toBeNull()
})

test('REGISTER AND MOVE hands the reservation to another initiator port', async () => {
  const { one, two, three } = await reserved(EXCLUSIVE_ACCESS)
  const moving = (port: Buffer, targetPort = 1, flags = 0x02, newKey = 0x33n) => {
    const list = Buffer.concat([reserveOutList(0x11n, newKey), port])
    list.writeUInt32BE(0, 16)
    list[17] = flags
    list.writeUInt16BE(targetPort, 18)
    list.writeUInt32BE(port.length, 20)
    return list
  }
  const send = (initiator: ScsiInitiator, list: Buffer) => initiator.run(outOf(7, list), { dataOut: list })
  const id = encodeTransportId(three.nexus)
  expect((await send(two, moving(id))).status).toBe(conflict)
  expect((await send(one, moving(id, 9))).code).toEqual([0x5, 0x26, 0x00])
  expect((await send(one, moving(id, 1, 0, 0n))).code).toEqual([0x5, 0x26, 0x00])
  expect((await send(one, moving(id.subarray(0, 12)))).code).toEqual([0x5, 0x26, 0x00])
  expect((await send(one, moving(id).subarray(0, 40))).code).toEqual([0x5, 0x1a, 0x00])
  expect((await send(one, moving(id))).status).toBe(ScsiStatus.good)
  expect((await three.run(cdb.read10(0, 1))).status).toBe(ScsiStatus.good)
  expect((await one.run(cdb.read10(0, 1))).status).toBe(conflict)
  const held = (await two.run(cdb.reserveIn(In.keys))).data
  expect([held.readUInt32BE(4), held.readBigUInt64BE(8), held.readBigUInt64BE(16)]).toEqual([
    16,
    0x22n,
    0x33n,
  ])
})

test('PREEMPT AND ABORT does not wait for a change of its victim that waits for it', async () => {
  const { device, one, two, three } = await reserved(WRITE_EXCLUSIVE)
  const begin = (initiator: ScsiInitiator, action: keyof typeof Out, key: bigint, otherKey: bigint) => {
    const dataOut = reserveOutList(key, otherKey)
    const pending = initiator.begin(cdb.reserveOut(Out[action], WRITE_EXCLUSIVE), { dataOut })
    pending.execute()
    return pending.answer
  }
  const [first, second] = [
    begin(one, 'preemptAndAbort', 0x11n, 0x22n),
    begin(two, 'preemptAndAbort', 0x22n, 0x11n),
  ]
  expect((await first)?.status).toBe(ScsiStatus.good)
  expect((await second)?.status).toBe(ScsiStatus.taskAborted)
  expect(device.volume.reservations.state.registrations.map(({ key }) => key)).toEqual([0x11n])
  expect((await out(three, 'register', 0n, 0x33n)).status).toBe(ScsiStatus.good)
})
