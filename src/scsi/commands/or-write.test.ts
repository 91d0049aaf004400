import { expect, test } from 'vitest'
import { ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { ScsiStatus } from '../scsi-command.ts'

const FUA = 0x08

const orWrite = (lba: number, blocks: number, flags = 0) => {
  const cdb = Buffer.alloc(16)
  cdb.set([0x8b, flags])
  cdb.writeBigUInt64BE(BigInt(lba), 2)
  cdb.writeUInt32BE(blocks, 10)
  return cdb
}

test('ORWRITE: bits that are set in the data are set on the medium, the others stay', async () => {
  const device = await ScsiDevice.serve()
  device.volume.bytes.fill(0b0101)
  const dataOut = Buffer.alloc(1024, 0b0011)
  expect((await device.initiator().run(orWrite(3, 2), { dataOut })).status).toBe(ScsiStatus.good)
  expect(device.volume.bytes.subarray(3 * 512, 5 * 512).equals(Buffer.alloc(1024, 0b0111))).toBe(true)
  expect([device.volume.bytes[3 * 512 - 1], device.volume.bytes[5 * 512]]).toEqual([0b0101, 0b0101])
})

test('ORWRITE: FUA asks for the medium', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  const dataOut = Buffer.alloc(512)
  await initiator.run(orWrite(0, 1), { dataOut })
  expect(device.volume.lastOperation?.fua).toBe(false)
  await initiator.run(orWrite(0, 1, FUA), { dataOut })
  expect(device.volume.lastOperation?.fua).toBe(true)
})

test('ORWRITE: ranges past the end, protection and write-protected units are refused', async () => {
  const device = await ScsiDevice.serve({ sizeBytes: 2 ** 20 })
  const initiator = device.initiator()
  const dataOut = Buffer.alloc(512)
  expect((await initiator.run(orWrite(2048, 0))).status).toBe(ScsiStatus.good)
  expect((await initiator.run(orWrite(2048, 1), { dataOut })).code).toEqual([0x5, 0x21, 0x00])
  expect((await initiator.run(orWrite(0, 1, 0x20), { dataOut })).code).toEqual([0x5, 0x24, 0x00])
  const readOnly = (await ScsiDevice.serve({ lunReadOnly: true })).initiator()
  expect((await readOnly.run(orWrite(0, 1), { dataOut })).code).toEqual([0x7, 0x27, 0x00])
})
