import { expect, test } from 'vitest'
import { ScsiDevice } from '../../../test/lib/scsi-device.ts'

const PLIST = 0x10
const GLIST = 0x08
const LONG_BLOCK = 0x03

const ten = (request: number, allocation: number) => [0x37, 0, request, 0, 0, 0, 0, 0, allocation, 0]
const twelve = (request: number, allocation: number) => [
  ...[0xb7, request, 0, 0, 0, 9],
  ...[0, 0, 0, allocation, 0, 0],
]

test('READ DEFECT DATA: the lists asked for are there and empty, in the format asked for', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  const request = PLIST | GLIST | LONG_BLOCK
  expect((await initiator.run(ten(request, 252))).data).toEqual(Buffer.of(0, request, 0, 0))
  expect((await initiator.run(twelve(GLIST, 252))).data).toEqual(Buffer.of(0, GLIST, 0, 0, 0, 0, 0, 0))
})

test('READ DEFECT DATA: the answer is cut to the allocation length', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  expect((await initiator.run(ten(PLIST, 2))).data).toEqual(Buffer.of(0, PLIST))
  expect((await initiator.run(twelve(PLIST, 0))).data).toHaveLength(0)
})

test('READ DEFECT DATA: vendor specific and reserved formats are refused', async () => {
  const initiator = (await ScsiDevice.serve()).initiator()
  for (const format of [6, 7]) {
    expect((await initiator.run(ten(GLIST | format, 252))).code).toEqual([0x5, 0x24, 0x00])
    expect((await initiator.run(twelve(GLIST | format, 252))).code).toEqual([0x5, 0x24, 0x00])
  }
})
