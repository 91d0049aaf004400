import { expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { TRANSFER_BYTES_MAX } from '../limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const FUA = 0x08
const pattern = (bytes: number, seed = 1) =>
  Buffer.from(Array.from({ length: bytes }, (_, at) => (at * seed) & 0xff))

test('write and read: all four sizes of CDB reach the same blocks', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  const data = pattern(2 * 512)
  await initiator.run([0x0a, 0, 0, 5, 2, 0], { dataOut: data })
  for (const read of [
    [0x08, 0, 0, 5, 2, 0],
    cdb.read10(5, 2),
    [0xa8, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0],
    cdb.read16(5, 2),
  ]) {
    expect((await initiator.run(read)).data).toEqual(data)
  }
  const more = pattern(512, 3)
  for (const [lba, write] of [
    [9, cdb.write10(9, 1)],
    [10, [0xaa, 0, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0]],
    [11, cdb.write16(11, 1)],
  ] as const) {
    expect((await initiator.run(write, { dataOut: more })).status).toBe(ScsiStatus.good)
    expect((await initiator.run(cdb.read10(lba, 1))).data).toEqual(more)
  }
})

test('READ (6) and WRITE (6): a length of zero means 256 blocks', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  const read = await initiator.run([0x08, 0, 0, 0, 0, 0], { expectedIn: 256 * 512 })
  expect(read.data.length).toBe(256 * 512)
  expect(
    initiator.begin([0x0a, 0, 0, 0, 0, 0], { dataOut: Buffer.alloc(256 * 512) }).command.dataOutLength,
  ).toBe(256 * 512)
})

test('read: waiting for the device answers the same bytes as reading in place', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  device.volume.bytes.set(pattern(20 * 512, 7))
  device.volume.delayMs = 1
  const { data } = await initiator.run(cdb.read10(0, 20), { segmentBytes: 1000 })
  expect(data).toEqual(device.volume.bytes.subarray(0, 20 * 512))
})

test('read: pieces that are no whole blocks, and less room than data, are cut right', async () => {
  const device = await ScsiDevice.serve()
  device.volume.bytes.set(pattern(4 * 512, 7))
  const initiator = device.initiator()
  const answer = await initiator.run(cdb.read10(0, 4), { segmentBytes: 700, expectedIn: 1500 })
  expect(answer.data).toEqual(device.volume.bytes.subarray(0, 1500))
  expect(answer.dataInLength).toBe(2048)
  expect((await initiator.run(cdb.read10(0, 1), { expectedIn: 0 })).status).toBe(ScsiStatus.good)
})

test('write: an initiator that sends less than its CDB says gets its whole blocks written', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  await initiator.run(cdb.write10(0, 3), { dataOut: Buffer.alloc(512 + 200, 0xaa) })
  expect(device.volume.bytes.subarray(0, 512).every(byte => byte === 0xaa)).toBe(true)
  expect(device.volume.bytes.subarray(512, 2048).every(byte => byte === 0)).toBe(true)
})

test('the address is checked first, with no blocks as well', async () => {
  const device = await ScsiDevice.serve({ sizeBytes: 100 * 512 })
  const initiator = device.initiator()
  const outOfRange = [0x5, 0x21, 0x00]
  expect((await initiator.run(cdb.read10(100, 0))).status).toBe(ScsiStatus.good)
  expect((await initiator.run(cdb.read10(101, 0))).code).toEqual(outOfRange)
  expect((await initiator.run(cdb.write10(99, 2), { dataOut: Buffer.alloc(1024) })).code).toEqual(outOfRange)
  const wild = [0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0]
  expect((await initiator.run(wild)).code).toEqual(outOfRange)
  expect(device.volume.kindsApplied).toEqual([])
})

test('more than MAXIMUM TRANSFER LENGTH is refused, naming the length field', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  const blocks = TRANSFER_BYTES_MAX / 512
  expect((await initiator.run(cdb.read16(0, blocks), { expectedIn: 10 })).status).toBe(ScsiStatus.good)
  const answer = await initiator.run(cdb.read16(0, blocks + 1))
  expect(answer.code).toEqual([0x5, 0x24, 0x00])
  expect([...answer.sense.subarray(15, 18)]).toEqual([0xc0, 0, 10])
})

test('FUA: a write is submitted durable, a read flushes first', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  await initiator.run(cdb.write10(0, 1, FUA), { dataOut: Buffer.alloc(512) })
  await initiator.run(cdb.read10(0, 1, FUA))
  expect(device.volume.kindsApplied).toEqual([BlockKind.write, BlockKind.flush, BlockKind.read])
})

test('protection information and unknown flags are refused', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  for (const flags of [0x20, 0xe0, 0x01]) {
    const answer = await initiator.run(cdb.read10(0, 1, flags))
    expect(answer.code).toEqual([0x5, 0x24, 0x00])
    expect([...answer.sense.subarray(15, 18)]).toEqual([0xc0, 0, 1])
  }
})

test('a bad block is a medium error that names the address, in place or after waiting', async () => {
  for (const delayMs of [null, 1]) {
    const device = await ScsiDevice.serve()
    device.volume.delayMs = delayMs
    device.volume.fault = () => ({ status: BlockStatus.mediumError, failedAtBytes: 8 * 512 })
    const answer = await device.initiator().run(cdb.read10(7, 4))
    expect(answer.code).toEqual([0x3, 0x11, 0x00])
    expect(answer.sense[0]).toBe(0xf0)
    expect(answer.sense.readUInt32BE(3)).toBe(8)
  }
})

test('what goes wrong underneath is said as the table of causes says it', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  const codes: Partial<Record<BlockStatus, readonly number[]>> = {
    [BlockStatus.noSpace]: [0x7, 0x27, 0x07],
    [BlockStatus.writeProtected]: [0x7, 0x27, 0x00],
    [BlockStatus.ioError]: [0x4, 0x44, 0x00],
    [BlockStatus.unavailable]: [0x2, 0x04, 0x01],
  }
  for (const [status, code] of Object.entries(codes)) {
    device.volume.fault = () => ({ status: Number(status) as BlockStatus })
    expect((await initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) })).code).toEqual(code)
  }
  device.volume.fault = () => ({ status: BlockStatus.reservationConflict })
  expect((await initiator.run(cdb.read10(0, 1))).status).toBe(ScsiStatus.reservationConflict)
})

test('a read-only volume and a read-only LUN refuse what writes and nothing else', async () => {
  for (const options of [{ readOnly: true }, { lunReadOnly: true }]) {
    const initiator = (await ScsiDevice.serve(options)).initiator()
    const refused = [
      initiator.run(cdb.write10(0, 1), { dataOut: Buffer.alloc(512) }),
      initiator.run(cdb.unmap(8), { dataOut: Buffer.alloc(8) }),
      initiator.run(cdb.writeSame16(0, 1), { dataOut: Buffer.alloc(512) }),
      initiator.run(cdb.compareAndWrite(0, 1), { dataOut: Buffer.alloc(1024) }),
    ]
    for (const answer of await Promise.all(refused)) expect(answer.code).toEqual([0x7, 0x27, 0x00])
    for (const allowed of [cdb.read10(0, 1), cdb.synchronizeCache10(), cdb.verify10(0, 1)]) {
      expect((await initiator.run(allowed)).status).toBe(ScsiStatus.good)
    }
    expect((await initiator.run(cdb.modeSense6(0x3f))).data[2]! & 0x80).toBe(0x80)
  }
})

test('counters: operations, bytes and errors of a unit', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  await initiator.run(cdb.write10(0, 2), { dataOut: Buffer.alloc(1024) })
  await initiator.run(cdb.read10(0, 1))
  await initiator.run(cdb.read10(0, 1, 0xe0))
  await initiator.run(cdb.testUnitReady())
  expect(device.target.unit(0)!.stats).toMatchObject({
    reads: 2,
    writes: 1,
    others: 1,
    readBytes: 512,
    writtenBytes: 1024,
    errors: 1,
    inFlight: 0,
  })
})
