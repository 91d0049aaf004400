import { expect, test } from 'vitest'
import { ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { PIECE_BYTES, PRE_FETCH_BYTES_MAX } from '../limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const IMMED = 0x02
const PIECE_BLOCKS = PIECE_BYTES / 512

function preFetch(lba: number, blocks: number, flags = 0): Buffer {
  const cdb = Buffer.alloc(16)
  cdb.set([0x90, flags])
  cdb.writeBigUInt64BE(BigInt(lba), 2)
  cdb.writeUInt32BE(blocks, 10)
  return cdb
}

test.each([
  ['(10)', Buffer.of(0x34, 0, 0, 0, 0, 8, 0, 0, 4, 0)],
  ['(16)', preFetch(8, 4)],
])('PRE-FETCH %s: CONDITION MET comes when the blocks were read', async (_, cdb) => {
  const device = await ScsiDevice.serve()
  device.volume.delayMs = 5
  const answer = await device.initiator().run(cdb)
  expect(answer.status).toBe(ScsiStatus.conditionMet)
  expect(device.volume.kindsApplied).toEqual([BlockKind.read])
  expect(device.volume.lastOperation).toMatchObject({ offsetBytes: 8 * 512, lengthBytes: 4 * 512 })
  expect([...device.target.units][0]?.stats.errors).toBe(0)
})

test('PRE-FETCH: GOOD when the range is more than is fetched at once, zero blocks reach to the end', async () => {
  const device = await ScsiDevice.serve({ sizeBytes: 2 * PRE_FETCH_BYTES_MAX })
  const initiator = device.initiator()
  expect((await initiator.run(preFetch(0, 0))).status).toBe(ScsiStatus.good)
  expect(device.volume.kindsApplied).toHaveLength(PRE_FETCH_BYTES_MAX / PIECE_BYTES)
  const half = PRE_FETCH_BYTES_MAX / 512
  expect((await initiator.run(preFetch(half, 0))).status).toBe(ScsiStatus.conditionMet)
})

test('PRE-FETCH with IMMED: answered before the read, one at a time for an initiator port', async () => {
  const device = await ScsiDevice.serve()
  const { volume } = device
  const initiator = device.initiator()
  volume.delayMs = 20
  expect((await initiator.run(preFetch(0, PIECE_BLOCKS, IMMED))).status).toBe(ScsiStatus.conditionMet)
  expect((await initiator.run(preFetch(0, 1, IMMED))).status).toBe(ScsiStatus.good)
  expect((await device.initiator().run(preFetch(0, PIECE_BLOCKS + 1, IMMED))).status).toBe(ScsiStatus.good)
  expect(volume.kindsApplied).toEqual([])
  await expect.poll(() => volume.kindsApplied).toEqual([BlockKind.read, BlockKind.read])
  expect((await initiator.run(preFetch(0, 1, IMMED))).status).toBe(ScsiStatus.conditionMet)
})

test('PRE-FETCH: a range past the end is refused, a block that cannot be read is told', async () => {
  const device = await ScsiDevice.serve({ sizeBytes: 2 ** 20 })
  const initiator = device.initiator()
  expect((await initiator.run(preFetch(2048, 1))).code).toEqual([0x5, 0x21, 0x00])
  expect((await initiator.run(preFetch(2049, 0, IMMED))).code).toEqual([0x5, 0x21, 0x00])
  device.volume.fault = () => ({ status: BlockStatus.mediumError, failedAtBytes: 1024 })
  const answer = await initiator.run(preFetch(0, 4))
  expect(answer.status).toBe(ScsiStatus.checkCondition)
  expect(answer.code).toEqual([0x3, 0x11, 0x00])
})
