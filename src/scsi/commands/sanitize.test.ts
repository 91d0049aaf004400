import { describe, expect, test } from 'vitest'
import { cdb, reserveOutList, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { ScsiStatus } from '../scsi-command.ts'

const OVERWRITE = 0x01
const BLOCK_ERASE = 0x02
const EXIT_FAILURE_MODE = 0x1f
const IMMED = 0x80
const AUSE = 0x20
const inProgress = [0x2, 0x04, 0x1b]
const failed = [0x3, 0x31, 0x03]
const invalidField = [0x5, 0x24, 0x00]
const invalidParameter = [0x5, 0x26, 0x00]

const sanitize = (action: number, parameterBytes = 0) => [
  0x48,
  action,
  0,
  0,
  0,
  0,
  0,
  parameterBytes >> 8,
  parameterBytes & 0xff,
  0,
]

function overwriteList(pattern: Buffer, flags = 1): Buffer {
  const list = Buffer.concat([Buffer.of(flags, 0, 0, 0), pattern])
  list.writeUInt16BE(pattern.length, 2)
  return list
}

async function served() {
  const device = await ScsiDevice.serve({ sizeBytes: 4 * 2 ** 20 })
  const initiator = device.initiator()
  const overwrite = (list: Buffer, flags = 0) =>
    initiator.run(sanitize(OVERWRITE | flags, list.length), { dataOut: list })
  return { device, volume: device.volume, initiator, overwrite }
}

describe('SANITIZE', () => {
  test('OVERWRITE fills each block with the pattern, from its first byte on, before it answers', async () => {
    const { volume, overwrite } = await served()
    expect((await overwrite(overwriteList(Buffer.from('abc')))).status).toBe(ScsiStatus.good)
    const block = Buffer.alloc(512, 'abc')
    for (const at of [0, 512, volume.sizeBytes - 512]) {
      expect(volume.bytes.subarray(at, at + 512).equals(block)).toBe(true)
    }
  })

  test('BLOCK ERASE leaves nothing mapped, and page B1h says that reads then succeed', async () => {
    const { volume, initiator, overwrite } = await served()
    await overwrite(overwriteList(Buffer.alloc(512, 7)))
    expect((await initiator.run(sanitize(BLOCK_ERASE))).status).toBe(ScsiStatus.good)
    expect(volume.mapped.size).toBe(0)
    expect((await initiator.run(cdb.inquiry(1, 0xb1))).data[7]! >> 6).toBe(1)
    expect((await initiator.run(cdb.read10(0, 1))).data).toEqual(Buffer.alloc(512))
  })

  test('meanwhile others are told how far it is, and only what tells about the unit is carried out', async () => {
    const { device, volume, initiator } = await served()
    volume.delayMs = 30
    expect((await initiator.run(sanitize(BLOCK_ERASE | IMMED))).status).toBe(ScsiStatus.good)
    const other = device.initiator()
    for (const request of [cdb.testUnitReady(), cdb.read10(0, 1), [0x1b, 0, 0, 0, 1, 0], cdb.reserveIn(0)]) {
      expect((await other.run(request)).code).toEqual(inProgress)
    }
    expect((await initiator.run(sanitize(BLOCK_ERASE))).code).toEqual(inProgress)
    expect((await initiator.run(sanitize(EXIT_FAILURE_MODE))).code).toEqual(inProgress)
    for (const request of [cdb.inquiry(), cdb.reportLuns(), cdb.reportOperationCodes(0)]) {
      expect((await other.run(request)).status).toBe(ScsiStatus.good)
    }
    for (const descriptorFormat of [0, 1]) {
      const { data } = await other.run(cdb.requestSense(descriptorFormat))
      const keySpecificAt = descriptorFormat === 0 ? 15 : 12
      expect([data[keySpecificAt]! & 0x80, data[descriptorFormat === 0 ? 13 : 3]]).toEqual([0x80, 0x1b])
    }
    await volume.sanitization.whenEnded()
    expect((await other.run(cdb.testUnitReady())).code).toBeNull()
    expect((await other.run(cdb.requestSense())).data[2]).toBe(0)
  })

  test('no abort, reset or loss of the nexus ends it', async () => {
    const { device, volume, initiator } = await served()
    volume.delayMs = 10
    const list = overwriteList(Buffer.alloc(512, 9))
    const pending = initiator.begin(sanitize(OVERWRITE, list.length), { dataOut: list })
    pending.execute()
    await new Promise(resolve => setImmediate(resolve))
    expect(await initiator.manage('abortTask', pending.command)).toBe('functionComplete')
    expect(await pending.answer).toBeNull()
    await initiator.manage('logicalUnitReset')
    await initiator.manage('targetColdReset')
    await initiator.leave()
    const other = device.initiator()
    expect((await other.run(cdb.testUnitReady())).code).toEqual(inProgress)
    await volume.sanitization.whenEnded()
    expect(volume.bytes.every(byte => byte === 9)).toBe(true)
  })

  test('a failed one shuts the unit until one succeeds, or EXIT FAILURE MODE where AUSE allowed it', async () => {
    const { volume, initiator, overwrite } = await served()
    volume.fault = kind => (kind === BlockKind.write ? { status: BlockStatus.noSpace } : null)
    const list = overwriteList(Buffer.alloc(512, 9))
    expect((await overwrite(list)).code).toEqual(failed)
    expect((await initiator.run(cdb.read10(0, 1))).code).toEqual(failed)
    expect((await initiator.run(sanitize(EXIT_FAILURE_MODE))).code).toEqual(invalidField)
    expect((await overwrite(list, AUSE)).code).toEqual(failed)
    expect((await initiator.run(sanitize(EXIT_FAILURE_MODE))).status).toBe(ScsiStatus.good)
    expect((await initiator.run(cdb.read10(0, 1))).status).toBe(ScsiStatus.good)
    expect((await overwrite(list)).code).toEqual(failed)
    expect((await initiator.run(sanitize(BLOCK_ERASE))).status).toBe(ScsiStatus.good)
    expect((await initiator.run(cdb.read10(0, 1))).status).toBe(ScsiStatus.good)
  })

  test('what cannot be stored does not begin, and is worth a retry', async () => {
    const { volume, initiator } = await served()
    volume.sanitizeStorage.failure = { error: new Error('no metadata'), appliesAnyway: false }
    expect((await initiator.run(sanitize(BLOCK_ERASE))).code).toEqual([0x2, 0x04, 0x01])
    expect((await initiator.run(cdb.testUnitReady())).code).toBeNull()
  })

  test('write protection and reservations of others keep it away', async () => {
    const { device, volume, initiator } = await served()
    const other = device.initiator()
    await other.run(cdb.reserveOut(0), { dataOut: reserveOutList(0n, 7n) })
    await other.run(cdb.reserveOut(1, 1), { dataOut: reserveOutList(7n, 0n) })
    expect((await initiator.run(sanitize(BLOCK_ERASE))).status).toBe(ScsiStatus.reservationConflict)
    await other.run(cdb.reserveOut(3), { dataOut: reserveOutList(7n, 0n) })
    expect((await initiator.run(cdb.testUnitReady())).status).toBe(ScsiStatus.good)
    volume.readOnly = true
    expect((await initiator.run(sanitize(BLOCK_ERASE))).code).toEqual([0x7, 0x27, 0x00])
  })

  test('parameter lists that make no sense are refused', async () => {
    const { volume, initiator, overwrite } = await served()
    for (const lengthBytes of [0, 4, 512 + 5]) {
      const dataOut = Buffer.alloc(lengthBytes)
      expect((await initiator.run(sanitize(OVERWRITE, lengthBytes), { dataOut })).code).toEqual(invalidField)
    }
    expect((await initiator.run(sanitize(BLOCK_ERASE, 8), { dataOut: Buffer.alloc(8) })).code).toEqual(
      invalidField,
    )
    expect((await initiator.run(sanitize(0x03))).code).toEqual(invalidField)
    const pattern = Buffer.alloc(512)
    expect((await overwrite(overwriteList(pattern, 0))).code).toEqual(invalidParameter)
    expect((await overwrite(overwriteList(pattern, 0x21))).code).toEqual(invalidParameter)
    const [none, long, beyond] = [
      overwriteList(pattern),
      overwriteList(pattern),
      overwriteList(Buffer.alloc(8)),
    ]
    none.writeUInt16BE(0, 2)
    long.writeUInt16BE(516, 2)
    beyond.writeUInt16BE(9, 2)
    expect((await overwrite(none)).code).toEqual(invalidParameter)
    expect((await overwrite(long)).code).toEqual(invalidParameter)
    expect((await overwrite(beyond)).code).toEqual([0x5, 0x1a, 0x00])
    expect(volume.kindsApplied).toEqual([])
  })
})
