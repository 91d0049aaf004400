import { expect, test } from 'vitest'
import { ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { PIECE_BYTES } from '../limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const COMPARE = 0x02

function cdbOf(operationCode: number, lba: number, blocks: number, flags = 0): Buffer {
  const cdb = Buffer.alloc(16)
  cdb[0] = operationCode
  cdb[1] = flags
  if (operationCode === 0x8e) {
    cdb.writeBigUInt64BE(BigInt(lba), 2)
    cdb.writeUInt32BE(blocks, 10)
  } else {
    cdb.writeUInt32BE(lba, 2)
    if (operationCode === 0x2e) cdb.writeUInt16BE(blocks, 7)
    else cdb.writeUInt32BE(blocks, 6)
  }
  return cdb
}

test.each([0x2e, 0xae, 0x8e])('WRITE AND VERIFY %i: writes durably, then reads back', async code => {
  const { volume, ...device } = await served()
  const initiator = device.initiator()
  const dataOut = Buffer.alloc(1024, 0x5a)
  volume.delayMs = 5
  const pending = initiator.begin(cdbOf(code, 4, 2), { dataOut })
  pending.execute()
  expect(volume.lastOperation?.fua).toBe(true)
  expect((await pending.answer)?.status).toBe(ScsiStatus.good)
  expect(volume.bytes.subarray(4 * 512, 6 * 512)).toEqual(dataOut)
  await initiator.run(cdbOf(code, 8, 2, COMPARE), { dataOut })
  expect(volume.bytes.subarray(8 * 512, 10 * 512)).toEqual(dataOut)
  expect(volume.kindsApplied).toEqual([BlockKind.write, BlockKind.read, BlockKind.write, BlockKind.verify])
})

async function served() {
  const device = await ScsiDevice.serve({ sizeBytes: 2 ** 20 })
  return { volume: device.volume, initiator: () => device.initiator() }
}

test('WRITE AND VERIFY: a medium that gives back something else is a MISCOMPARE where it differs', async () => {
  const { volume, initiator } = await served()
  volume.fault = kind => {
    if (kind === BlockKind.verify) volume.bytes[5 * 512 + 9] = 1
    return null
  }
  const answer = await initiator().run(cdbOf(0x2e, 4, 2, COMPARE), { dataOut: Buffer.alloc(1024, 7) })
  expect(answer.code).toEqual([0xe, 0x1d, 0x00])
  expect(answer.sense.readUInt32BE(3)).toBe(512 + 9)
})

test('WRITE AND VERIFY: a block that cannot be read back is a medium error, however long the range', async () => {
  const { volume, initiator } = await served()
  volume.fault = (kind, offsetBytes) =>
    kind === BlockKind.read && offsetBytes >= PIECE_BYTES
      ? { status: BlockStatus.mediumError, failedAtBytes: PIECE_BYTES + 512 }
      : null
  const dataOut = Buffer.alloc(PIECE_BYTES + 1024)
  const answer = await initiator().run(cdbOf(0x8e, 0, dataOut.length / 512), { dataOut })
  expect(answer.code).toEqual([0x3, 0x11, 0x00])
  expect(answer.sense.readUInt32BE(3)).toBe(PIECE_BYTES / 512 + 1)
})

test('WRITE AND VERIFY: reserved BYTCHK values and protection are refused, no blocks are no error', async () => {
  const { volume, initiator } = await served()
  const port = initiator()
  const dataOut = Buffer.alloc(512)
  for (const flags of [0x04, 0x06, 0x20]) {
    expect((await port.run(cdbOf(0x2e, 0, 1, flags), { dataOut })).code).toEqual([0x5, 0x24, 0x00])
  }
  expect((await port.run(cdbOf(0x2e, 0, 0))).status).toBe(ScsiStatus.good)
  expect((await port.run(cdbOf(0x2e, 2048, 1), { dataOut })).code).toEqual([0x5, 0x21, 0x00])
  expect(volume.kindsApplied).toEqual([])
})

test('WRITE AND VERIFY: of less data than the CDB says, the whole blocks are written and compared', async () => {
  const { volume, initiator } = await served()
  const answer = await initiator().run(cdbOf(0xae, 0, 4, COMPARE), { dataOut: Buffer.alloc(1500, 3) })
  expect(answer.status).toBe(ScsiStatus.good)
  expect(answer.dataOutLength).toBe(2048)
  expect([volume.bytes[1023], volume.bytes[1024]]).toEqual([3, 0])
})
