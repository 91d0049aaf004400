import { expect, test } from 'vitest'
import { cdb, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { ScsiStatus } from '../scsi-command.ts'

const invalidField = [0x5, 0x24, 0x00]

function writeAtomic(lba: number, blocks: number, flags = 0, boundary = 0): number[] {
  return [0x9c, flags, 0, 0, 0, 0, 0, 0, lba >> 8, lba & 0xff, 0, boundary, blocks >> 8, blocks & 0xff, 0, 0]
}

test('the whole data-out is one atomic operation, up to the limit that page B0h gives', async () => {
  for (const blockSizeBytes of [512, 4096] as const) {
    const device = await ScsiDevice.serve({ blockSizeBytes })
    const initiator = device.initiator()
    const limits = (await initiator.run(cdb.inquiry(1, 0xb0))).data
    const blocksMax = limits.readUInt32BE(44)
    expect([blocksMax, ...limits.subarray(48, 64)]).toEqual([256, ...Array(16).fill(0)])
    const dataOut = Buffer.alloc(blocksMax * blockSizeBytes, 7)
    expect((await initiator.run(writeAtomic(3, blocksMax), { dataOut })).status).toBe(ScsiStatus.good)
    expect(device.volume.kindsApplied).toEqual([BlockKind.writeAtomic])
    expect(device.volume.lastOperation?.lengthBytes).toBe(dataOut.length)
    const written = device.volume.bytes.subarray(3 * blockSizeBytes, 3 * blockSizeBytes + dataOut.length)
    expect(written.equals(dataOut)).toBe(true)
    const more = Buffer.alloc((blocksMax + 1) * blockSizeBytes)
    expect((await initiator.run(writeAtomic(3, blocksMax + 1), { dataOut: more })).code).toEqual(invalidField)
  }
})

test('a part of the data is not written, nor is anything with a boundary or past the end', async () => {
  const device = await ScsiDevice.serve()
  const initiator = device.initiator()
  const dataOut = Buffer.alloc(1024, 7)
  expect((await initiator.run(writeAtomic(0, 3), { dataOut })).code).toEqual(invalidField)
  expect((await initiator.run(writeAtomic(0, 2, 0, 1), { dataOut })).code).toEqual(invalidField)
  expect((await initiator.run(writeAtomic(32767, 2), { dataOut })).code).toEqual([0x5, 0x21, 0x00])
  expect((await initiator.run(writeAtomic(0, 0))).status).toBe(ScsiStatus.good)
  expect(device.volume.kindsApplied).toEqual([])
})
