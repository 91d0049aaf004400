import { describe, expect, test } from 'vitest'
import { cdb, ScsiDevice, unmapList } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { UNMAP_BLOCKS_MAX, WRITE_SAME_BYTES_MAX } from '../limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const invalidField = [0x5, 0x24, 0x00]
const invalidParameter = [0x5, 0x26, 0x00]
const outOfRange = [0x5, 0x21, 0x00]

async function filled() {
  const device = await ScsiDevice.serve({ sizeBytes: 2 ** 20 })
  device.volume.bytes.fill(0xa6)
  return { device, volume: device.volume, initiator: device.initiator() }
}

describe('UNMAP', () => {
  test('each range reads back as zeroes, neighbours do not', async () => {
    const { volume, initiator } = await filled()
    const list = unmapList([0, 8], [100, 1], [16, 0])
    expect((await initiator.run(cdb.unmap(list.length), { dataOut: list })).status).toBe(ScsiStatus.good)
    expect(volume.bytes.subarray(0, 8 * 512).every(byte => byte === 0)).toBe(true)
    expect(volume.bytes[8 * 512]).toBe(0xa6)
    expect(volume.bytes[100 * 512]).toBe(0)
    expect(volume.bytes[101 * 512]).toBe(0xa6)
  })

  test('neighbouring descriptors are one operation', async () => {
    const { volume, initiator } = await filled()
    const list = unmapList([0, 8], [8, 8], [16, 4], [40, 1])
    await initiator.run(cdb.unmap(list.length), { dataOut: list })
    expect(volume.kindsApplied).toEqual([BlockKind.trim, BlockKind.trim])
  })

  test('a bad descriptor stops all of them', async () => {
    const { volume, initiator } = await filled()
    const blocks = volume.sizeBytes / 512
    const list = unmapList([0, 8], [blocks, 1])
    expect((await initiator.run(cdb.unmap(list.length), { dataOut: list })).code).toEqual(outOfRange)
    expect(volume.kindsApplied).toEqual([])
  })

  test('limits on blocks and descriptors, and lists that are cut off', async () => {
    const initiator = (await ScsiDevice.serve({ sizeBytes: (UNMAP_BLOCKS_MAX + 1) * 512 })).initiator()
    const tooMuch = unmapList([0, UNMAP_BLOCKS_MAX], [0, 1])
    expect((await initiator.run(cdb.unmap(tooMuch.length), { dataOut: tooMuch })).code).toEqual(
      invalidParameter,
    )
    const tooMany = unmapList(...Array.from({ length: 257 }, () => [0, 0] as const))
    expect((await initiator.run(cdb.unmap(tooMany.length), { dataOut: tooMany })).code).toEqual(
      invalidParameter,
    )
    const cut = unmapList([0, 1]).subarray(0, 20)
    expect((await initiator.run(cdb.unmap(cut.length), { dataOut: cut })).code).toEqual([0x5, 0x1a, 0x00])
    expect((await initiator.run(cdb.unmap(4), { dataOut: Buffer.alloc(4) })).code).toEqual([0x5, 0x1a, 0x00])
    expect((await initiator.run(cdb.unmap(0))).status).toBe(ScsiStatus.good)
  })
})

describe('WRITE SAME', () => {
  const UNMAP = 0x08
  const NDOB = 0x01
  const ANCHOR = 0x10

  test('one block is repeated over the range, longer than a piece too', async () => {
    const { volume, initiator } = await filled()
    const block = Buffer.alloc(512, 'pattern!')
    await initiator.run(cdb.writeSame16(3, 1025), { dataOut: block })
    expect(volume.bytes.subarray(3 * 512, 1028 * 512).equals(Buffer.alloc(1025 * 512, 'pattern!'))).toBe(true)
    expect(volume.bytes[2 * 512]).toBe(0xa6)
    expect(volume.bytes[1028 * 512]).toBe(0xa6)
  })

  test('zeroes are a zero operation, with UNMAP a trim, and NDOB needs no data', async () => {
    const { volume, initiator } = await filled()
    await initiator.run(cdb.writeSame16(0, 4), { dataOut: Buffer.alloc(512) })
    await initiator.run(cdb.writeSame16(4, 4, UNMAP), { dataOut: Buffer.alloc(512, 0xff) })
    await initiator.run(cdb.writeSame16(8, 4, NDOB))
    await initiator.run(cdb.writeSame16(12, 4, NDOB | UNMAP))
    expect(volume.kindsApplied).toEqual([BlockKind.zero, BlockKind.trim, BlockKind.zero, BlockKind.trim])
    expect(volume.bytes.subarray(0, 16 * 512).every(byte => byte === 0)).toBe(true)
  })

  test('zero blocks reach to the end, within the limit', async () => {
    const { volume, initiator } = await filled()
    await initiator.run(cdb.writeSame16(2040, 0), { dataOut: Buffer.alloc(512, 0x11) })
    expect(volume.bytes.subarray(2040 * 512).every(byte => byte === 0x11)).toBe(true)
    const large = (await ScsiDevice.serve({ sizeBytes: WRITE_SAME_BYTES_MAX + 512 })).initiator()
    expect((await large.run(cdb.writeSame16(0, 0), { dataOut: Buffer.alloc(512) })).code).toEqual(
      invalidField,
    )
    expect((await large.run(cdb.writeSame16(1, 0), { dataOut: Buffer.alloc(512) })).status).toBe(
      ScsiStatus.good,
    )
  })

  test('ANCHOR and any other amount of data than one block are refused', async () => {
    const { initiator } = await filled()
    const dataOut = Buffer.alloc(512)
    expect((await initiator.run(cdb.writeSame16(0, 1, UNMAP | ANCHOR), { dataOut })).code).toEqual(
      invalidField,
    )
    for (const bytes of [256, 1024]) {
      const answer = await initiator.run(cdb.writeSame16(0, 1), { dataOut: Buffer.alloc(bytes) })
      expect(answer.code).toEqual(invalidField)
    }
  })
})

describe('COMPARE AND WRITE', () => {
  test('writes when all is equal, and otherwise says where it first differs', async () => {
    const { volume, initiator } = await filled()
    const expected = Buffer.alloc(1024, 0xa6)
    const wanted = Buffer.alloc(1024, 0x5a)
    const both = Buffer.concat([expected, wanted])
    expect((await initiator.run(cdb.compareAndWrite(4, 2), { dataOut: both })).status).toBe(ScsiStatus.good)
    expect(volume.bytes.subarray(4 * 512, 6 * 512)).toEqual(wanted)
    volume.bytes[5 * 512 + 7] = 1
    const answer = await initiator.run(cdb.compareAndWrite(4, 2), {
      dataOut: Buffer.concat([wanted, wanted]),
    })
    expect(answer.code).toEqual([0xe, 0x1d, 0x00])
    expect(answer.sense[0]).toBe(0xf0)
    expect(answer.sense.readUInt32BE(3)).toBe(512 + 7)
  })

  test('no blocks is no error, more data than the CDB says is', async () => {
    const { initiator } = await filled()
    expect((await initiator.run(cdb.compareAndWrite(0, 0))).status).toBe(ScsiStatus.good)
    const answer = await initiator.run(cdb.compareAndWrite(0, 0), { dataOut: Buffer.alloc(1024) })
    expect(answer.code).toEqual(invalidField)
  })
})

describe('VERIFY', () => {
  test('without data it reads the medium and reports what is bad', async () => {
    const { volume, initiator } = await filled()
    expect((await initiator.run(cdb.verify10(0, 1024))).status).toBe(ScsiStatus.good)
    volume.fault = (_, offsetBytes) =>
      offsetBytes >= 2 ** 18 ? { status: BlockStatus.mediumError, failedAtBytes: 2 ** 18 } : null
    const answer = await initiator.run(cdb.verify10(0, 1024))
    expect(answer.code).toEqual([0x3, 0x11, 0x00])
    expect(answer.sense.readUInt32BE(3)).toBe(512)
  })

  test('BYTCHK 01b compares all of the data, 11b one block with each, 10b is reserved', async () => {
    const { volume, initiator } = await filled()
    const block = Buffer.alloc(512, 0xa6)
    expect((await initiator.run(cdb.verify10(0, 2, 1), { dataOut: Buffer.alloc(1024, 0xa6) })).status).toBe(0)
    expect((await initiator.run(cdb.verify10(0, 1000, 3), { dataOut: block })).status).toBe(0)
    volume.bytes[900 * 512 + 3] = 0
    const answer = await initiator.run(cdb.verify10(0, 1000, 3), { dataOut: block })
    expect(answer.code).toEqual([0xe, 0x1d, 0x00])
    expect(answer.sense.readUInt32BE(3)).toBe(3)
    expect((await initiator.run(cdb.verify10(900, 1, 1), { dataOut: block })).code?.[0]).toBe(0xe)
    expect((await initiator.run(cdb.verify10(0, 1, 2), { dataOut: block })).code).toEqual(invalidField)
    expect((await initiator.run(cdb.verify10(0, 1, 1), { dataOut: Buffer.alloc(100) })).code).toEqual(
      invalidField,
    )
  })
})

describe('SYNCHRONIZE CACHE and START STOP UNIT', () => {
  test('GOOD comes after the flush', async () => {
    const { volume, initiator } = await filled()
    volume.delayMs = 5
    await initiator.run(cdb.synchronizeCache10())
    expect(volume.kindsApplied).toEqual([BlockKind.flush])
  })

  test('with IMMED GOOD comes at once, and a failed flush is a deferred error of the next command', async () => {
    const { volume, initiator } = await filled()
    volume.fault = () => ({ status: BlockStatus.ioError })
    volume.delayMs = 5
    expect((await initiator.run(cdb.synchronizeCache10(0x02))).status).toBe(ScsiStatus.good)
    await new Promise(resolve => setTimeout(resolve, 30))
    const next = await initiator.run(cdb.testUnitReady())
    expect(next.code).toEqual([0x4, 0x44, 0x00])
    expect(next.sense[0]! & 0x7f).toBe(0x71)
    expect((await initiator.run(cdb.testUnitReady())).status).toBe(ScsiStatus.good)
  })

  test('a range past the end is refused', async () => {
    const { initiator } = await filled()
    const beyond = [0x35, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0]
    expect((await initiator.run(beyond)).code).toEqual(outOfRange)
  })

  test('stopping makes data durable and leaves the unit ready', async () => {
    const { volume, initiator } = await filled()
    expect((await initiator.run([0x1b, 0, 0, 0, 0x00, 0])).status).toBe(ScsiStatus.good)
    expect((await initiator.run([0x1b, 0, 0, 0, 0x01, 0])).status).toBe(ScsiStatus.good)
    expect((await initiator.run([0x1b, 0, 0, 0, 0x04, 0])).status).toBe(ScsiStatus.good)
    expect(volume.kindsApplied).toEqual([BlockKind.flush])
    expect((await initiator.run(cdb.testUnitReady())).status).toBe(ScsiStatus.good)
    expect((await initiator.run([0x1b, 0, 0, 0, 0x02, 0])).code).toEqual(invalidField)
  })
})

describe('GET LBA STATUS (16)', () => {
  const getLbaStatus = (lba: number, allocation: number, reportType = 0) => {
    const bytes = Buffer.alloc(16)
    bytes.set([0x9e, 0x12])
    bytes.writeBigUInt64BE(BigInt(lba), 2)
    bytes.writeUInt32BE(allocation, 10)
    bytes[14] = reportType
    return [...bytes]
  }

  test('runs of mapped and deallocated blocks are told from the LBA on, as many as there is room for', async () => {
    const { initiator } = await filled()
    await initiator.run(cdb.write10(32, 32), { dataOut: Buffer.alloc(32 * 512, 1) })
    const { data } = await initiator.run(getLbaStatus(32, 8 + 2 * 16), { expectedIn: 40 })
    expect(data.readUInt32BE(0)).toBe(36)
    expect([data.readBigUInt64BE(8), data.readUInt32BE(16), data[20]]).toEqual([32n, 32, 0])
    expect([data.readBigUInt64BE(24), data.readUInt32BE(32), data[36]]).toEqual([64n, 2048 - 64, 1])
  })

  test('an LBA past the end and an unknown report type are refused', async () => {
    const { volume, initiator } = await filled()
    expect((await initiator.run(getLbaStatus(volume.sizeBytes / 512, 24))).code).toEqual(outOfRange)
    expect((await initiator.run(getLbaStatus(0, 24, 3))).code).toEqual(invalidField)
  })
})
