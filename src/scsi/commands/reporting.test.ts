import { describe, expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { isOperationCodeKnown } from '../command-table.ts'
import {
  COMPARE_AND_WRITE_BLOCKS_MAX,
  TRANSFER_BYTES_MAX,
  UNMAP_BLOCKS_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from '../limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const invalidField = [0x5, 0x24, 0x00]

describe('INQUIRY', () => {
  test('standard data: identity, versions, command queueing, removable only if the volume is', async () => {
    for (const removable of [false, true]) {
      const { data } = await (await ScsiDevice.serve({ removable })).initiator().run(cdb.inquiry())
      expect(data.length).toBe(data[4]! + 5)
      expect(data.toString('ascii', 8, 36)).toBe('HOLDFASTvolume          0.1 ')
      expect([data[0], data[1], data[2], data[7]]).toEqual([0, removable ? 0x80 : 0, 6, 2])
    }
  })

  test('every page that page 00h lists can be had, whole, and no other', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const supported = (await initiator.run(cdb.inquiry(1, 0))).data
    const pages = [...supported.subarray(4)]
    expect(pages).toEqual([0x00, 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2])
    for (let page = 0; page < 256; page++) {
      const answer = await initiator.run(cdb.inquiry(1, page))
      if (!pages.includes(page)) expect(answer.code).toEqual(invalidField)
      else {
        expect(answer.data[1]).toBe(page)
        expect(answer.data.readUInt16BE(2)).toBe(answer.data.length - 4)
      }
    }
    expect((await initiator.run(cdb.inquiry(0, 0x83))).code).toEqual(invalidField)
  })

  test('a LUN in byte 1, as SCSI-2 had it, is no reason to refuse, and no other obsolete bit is let through', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const withByte1 = async (byte1: number) => (await initiator.run([0x12, byte1, 0, 0, 36, 0])).code
    expect([await withByte1(0x20), await withByte1(0xe0)]).toEqual([null, null])
    expect([await withByte1(0x02), await withByte1(0x10)]).toEqual([invalidField, invalidField])
  })

  test('data is cut to the allocation length, which says nothing about its length field', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const { data, dataInLength } = await initiator.run(cdb.inquiry(0, 0, 5))
    expect([data.length, dataInLength, data[4]]).toEqual([5, 5, 91])
  })

  test('page 83h names volume, port and device, and is the same through every target', async () => {
    const device = await ScsiDevice.serve()
    const { data } = await device.initiator().run(cdb.inquiry(1, 0x83))
    const designators = new Map<number, Buffer>()
    for (let at = 4; at < data.length; at += 4 + data[at + 3]!) {
      designators.set(data[at + 1]! & 0x3f, data.subarray(at + 4, at + 4 + data[at + 3]!))
    }
    expect(designators.get(0x03)).toEqual(device.volume.naa)
    expect(designators.get(0x01)?.toString()).toBe(`HOLDFAST${device.volume.uuid.replaceAll('-', '')}`)
    expect(designators.get(0x14)?.readUInt32BE(0)).toBe(1)
    expect(designators.get(0x15)?.readUInt32BE(0)).toBe(1)
    expect(designators.get(0x18)?.toString().replace(/\0+$/, '')).toBe(`${device.target.name},t,0x0001`)
    expect(designators.get(0x28)?.toString().replace(/\0+$/, '')).toBe(device.target.name)
  })

  test('page B0h gives the limits that are enforced, in blocks', async () => {
    for (const blockSizeBytes of [512, 4096] as const) {
      const { data } = await (await ScsiDevice.serve({ blockSizeBytes }))
        .initiator()
        .run(cdb.inquiry(1, 0xb0))
      expect(data[5]).toBe(COMPARE_AND_WRITE_BLOCKS_MAX)
      expect(data.readUInt16BE(6)).toBe(4096 / blockSizeBytes)
      expect(data.readUInt32BE(8) * blockSizeBytes).toBe(TRANSFER_BYTES_MAX)
      expect(data.readUInt32BE(20)).toBe(UNMAP_BLOCKS_MAX)
      expect(data.readUInt32BE(24)).toBe(UNMAP_DESCRIPTORS_MAX)
      expect(data.readUInt32BE(28)).toBe(4096 / blockSizeBytes)
      expect(Number(data.readBigUInt64BE(36)) * blockSizeBytes).toBe(WRITE_SAME_BYTES_MAX)
    }
  })

  test('pages B1h and B2h: not rotating; thin, unmapped by all three commands, reading as zeroes', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    expect((await initiator.run(cdb.inquiry(1, 0xb1))).data.readUInt16BE(4)).toBe(1)
    expect([...(await initiator.run(cdb.inquiry(1, 0xb2))).data.subarray(4)]).toEqual([11, 0xe4, 2, 0])
  })
})

test('READ CAPACITY: last address and block size, thin and zeroing, the physical block', async () => {
  for (const [blockSizeBytes, exponent] of [
    [512, 3],
    [4096, 0],
  ] as const) {
    const initiator = (await ScsiDevice.serve({ sizeBytes: 2 ** 20, blockSizeBytes })).initiator()
    const short = (await initiator.run([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0])).data
    expect([short.readUInt32BE(0), short.readUInt32BE(4)]).toEqual([
      2 ** 20 / blockSizeBytes - 1,
      blockSizeBytes,
    ])
    const long = (await initiator.run([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0])).data
    expect(Number(long.readBigUInt64BE(0))).toBe(2 ** 20 / blockSizeBytes - 1)
    expect([long[13], long[14]]).toEqual([exponent, 0xc0])
  }
})

test('READ CAPACITY (10): a volume of more than 32 bits of blocks sends to READ CAPACITY (16)', async () => {
  const device = await ScsiDevice.serve()
  Object.defineProperty(device.volume, 'sizeBytes', { value: 2 ** 42 })
  const { data } = await device.initiator().run([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  expect(data.readUInt32BE(0)).toBe(0xffffffff)
})

test('REPORT LUNS: in order, low ones in peripheral form and high ones in flat form', async () => {
  const device = await ScsiDevice.serve()
  const unit = { volume: device.volume, readOnly: false }
  await device.target.setUnits(new Map([0, 300, 7].map(lun => [lun, unit])))
  const initiator = device.initiator()
  const { data } = await initiator.run(cdb.reportLuns())
  expect(data.readUInt32BE(0)).toBe(24)
  expect([8, 16, 24].map(at => data.readUInt16BE(at))).toEqual([0, 7, 0x4000 | 300])
  for (const [select, bytes] of [
    [1, 0],
    [2, 24],
    [0x11, 0],
  ] as const) {
    expect((await initiator.run(cdb.reportLuns(select))).data.readUInt32BE(0)).toBe(bytes)
  }
  expect((await initiator.run(cdb.reportLuns(3))).code).toEqual(invalidField)
})

describe('REPORT SUPPORTED OPERATION CODES', () => {
  test('lists exactly what is carried out', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const { data } = await initiator.run(cdb.reportOperationCodes(0))
    expect(data.readUInt32BE(0)).toBe(data.length - 4)
    const listed = new Set<number>()
    for (let at = 4; at < data.length; at += 8) listed.add(data[at]!)
    for (let code = 0; code < 256; code++) {
      expect(isOperationCodeKnown(code)).toBe(listed.has(code))
      if (listed.has(code)) continue
      const answer = await initiator.run([code, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      expect(answer.code).toEqual([0x5, 0x20, 0x00])
    }
  })

  test('a bit that its usage data leaves out is refused in every command', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const all = (await initiator.run(cdb.reportOperationCodes(0))).data
    for (let at = 4; at < all.length; at += 8) {
      const serviceAction = all.readUInt16BE(at + 2)
      const { data } = await initiator.run(cdb.reportOperationCodes(3, all[at], serviceAction))
      expect(data[1]! & 7).toBe(3)
      const usage = data.subarray(4)
      expect(usage.length).toBe(all.readUInt16BE(at + 6))
      const control = usage.length - 1
      const command = Buffer.alloc(16)
      command[0] = all[at]!
      command[1] = (all[at + 5]! & 1) === 0 ? 0 : serviceAction
      command[control] = 0x04
      const answer = await initiator.run(command)
      expect(answer.code).toEqual(invalidField)
      expect([...answer.sense.subarray(15, 18)]).toEqual([0xc0, 0, control])
    }
  })

  test('timeouts descriptors come when asked for, and give a time', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    const { data } = await initiator.run(cdb.reportOperationCodes(0x81, 0x28))
    expect(data[1]).toBe(0x83)
    expect(data.length).toBe(4 + 10 + 12)
    expect(data.readUInt32BE(4 + 10 + 8)).toBeGreaterThan(0)
  })

  test('service actions are asked for as the option says', async () => {
    const initiator = (await ScsiDevice.serve()).initiator()
    expect((await initiator.run(cdb.reportOperationCodes(1, 0x9e))).code).toEqual(invalidField)
    expect((await initiator.run(cdb.reportOperationCodes(2, 0x28))).code).toEqual(invalidField)
    expect((await initiator.run(cdb.reportOperationCodes(4))).code).toEqual(invalidField)
    expect((await initiator.run(cdb.reportOperationCodes(2, 0x9e, 0x10))).data[1]).toBe(3)
    expect((await initiator.run(cdb.reportOperationCodes(2, 0x9e, 0x1f))).data[1]).toBe(1)
    expect((await initiator.run(cdb.reportOperationCodes(1, 0xff))).data[1]).toBe(1)
  })

  test('an unknown service action of a known operation code is a bad field', async () => {
    const answer = await (await ScsiDevice.serve()).initiator().run([0x5e, 0x1f, 0, 0, 0, 0, 0, 0, 8, 0])
    expect(answer.code).toEqual(invalidField)
  })
})

test('REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS: those that are carried out', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  const { data } = await initiator.run([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0])
  expect([...data]).toEqual([0xd8, 0, 0, 0])
  const extended = await initiator.run([0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 16, 0, 0])
  expect([extended.data.length, extended.data[3]]).toEqual([16, 12])
  expect((await initiator.run([0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0])).code).toEqual(invalidField)
})

test('a LUN without a unit: INQUIRY says so, REPORT LUNS and REQUEST SENSE answer, all else is refused', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  for (const lun of [3, -1]) {
    expect((await initiator.run(cdb.inquiry(), { lun })).data[0]).toBe(0x7f)
    expect((await initiator.run(cdb.reportLuns(), { lun })).data.length).toBe(16)
    const sense = await initiator.run(cdb.requestSense(), { lun })
    expect(sense.status).toBe(ScsiStatus.good)
    expect([sense.data[2], sense.data[12]]).toEqual([5, 0x25])
    for (const refused of [cdb.testUnitReady(), cdb.inquiry(1, 0x83), [0xff]]) {
      expect((await initiator.run(refused, { lun })).code).toEqual([0x5, 0x25, 0x00])
    }
  }
})
