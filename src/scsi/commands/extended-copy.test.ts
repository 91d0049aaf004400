import { describe, expect, test } from 'vitest'
import { MemoryVolume } from '../../../test/lib/memory-volume.ts'
import { cdb, reserveOutList, ScsiDevice } from '../../../test/lib/scsi-device.ts'
import { ScsiInitiator } from '../../../test/lib/scsi-initiator.ts'
import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import {
  COPIES_MAX,
  COPY_RESULTS_MAX,
  CSCD_DESCRIPTORS_MAX,
  CSCD_ID_SELF,
  DESCRIPTOR_LIST_BYTES_MAX,
  SEGMENT_DESCRIPTORS_MAX,
} from '../copy/copy-limits.ts'
import { ScsiStatus } from '../scsi-command.ts'

const listLengthError = [0x5, 0x1a, 0x00]
const invalidParameter = [0x5, 0x26, 0x00]
const unreachable = [0xa, 0x08, 0x04]
const BLOCK = 512

interface Segment {
  readonly source?: number
  readonly destination?: number
  readonly blocks?: number
  readonly from?: number
  readonly to?: number
  readonly type?: number
  readonly flags?: number
}

function deviceDescriptor(
  volume: MemoryVolume,
  type = 0xe4,
  blockSizeBytes: number = volume.blockSizeBytes,
): Buffer {
  const descriptor = Buffer.alloc(32)
  descriptor[0] = type
  descriptor.set([1, 3, 0, volume.naa.length], 4)
  volume.naa.copy(descriptor, 8)
  descriptor.writeUIntBE(blockSizeBytes, 29, 3)
  return descriptor
}

function segmentDescriptor(segment: Segment): Buffer {
  const descriptor = Buffer.alloc(28)
  descriptor[0] = segment.type ?? 0x02
  descriptor[1] = segment.flags ?? 0
  descriptor.writeUInt16BE(24, 2)
  descriptor.writeUInt16BE(segment.source ?? 0, 4)
  descriptor.writeUInt16BE(segment.destination ?? 0, 6)
  descriptor.writeUInt16BE(segment.blocks ?? 16, 10)
  descriptor.writeBigUInt64BE(BigInt(segment.from ?? 0), 12)
  descriptor.writeBigUInt64BE(BigInt(segment.to ?? 4096), 20)
  return descriptor
}

function copyList(devices: readonly Buffer[], segments: readonly Segment[], listId = 1, usage = 0): Buffer {
  const header = Buffer.alloc(16)
  header[0] = listId
  header[1] = usage << 3
  header.writeUInt16BE(32 * devices.length, 2)
  header.writeUInt32BE(28 * segments.length, 8)
  return Buffer.concat([header, ...devices, ...segments.map(segmentDescriptor)])
}

function extendedCopy(lengthBytes: number): number[] {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(lengthBytes)
  return [0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...length, 0, 0]
}

const receive = (action: number, listId = 1) => [0x84, action, listId, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]

const copy = (initiator: ScsiInitiator, list: Buffer) =>
  initiator.run(extendedCopy(list.length), { dataOut: list })

function fill(volume: MemoryVolume, lba: number, blocks: number): Buffer {
  const data = Buffer.from(Array.from({ length: blocks * volume.blockSizeBytes }, (_, i) => (i >> 9) % 251))
  data.copy(volume.bytes, lba * volume.blockSizeBytes)
  for (let at = 0; at < data.length; at += 512) {
    volume.mapped.add(Math.floor((lba * volume.blockSizeBytes + at) / 4096))
  }
  return data
}

const at = (volume: MemoryVolume, lba: number, lengthBytes: number) =>
  volume.bytes.subarray(lba * volume.blockSizeBytes, lba * volume.blockSizeBytes + lengthBytes)

async function served() {
  const device = await ScsiDevice.serve()
  return {
    device,
    volume: device.volume,
    initiator: device.initiator(),
    self: deviceDescriptor(device.volume),
  }
}

describe('EXTENDED COPY', () => {
  test('copies segments within a unit, piece by piece, and tells how far it came', async () => {
    const { volume, initiator, self } = await served()
    const data = fill(volume, 0, 5000)
    const { status } = await copy(
      initiator,
      copyList(
        [self],
        [
          { blocks: 5000, to: 8192 },
          { blocks: 3, to: 20000 },
        ],
      ),
    )
    expect(status).toBe(ScsiStatus.good)
    expect(at(volume, 8192, data.length).equals(data)).toBe(true)
    expect(at(volume, 20000, 3 * BLOCK).equals(data.subarray(0, 3 * BLOCK))).toBe(true)
    const told = (await initiator.run(receive(0x00))).data
    expect([told.readUInt32BE(0), told[4], told.readUInt16BE(5), told[7]]).toEqual([8, 0x81, 2, 0])
    expect(told.readUInt32BE(8)).toBe(5003 * BLOCK)
    expect([...(await initiator.run(receive(0x04))).data]).toEqual([0, 0, 0, 0])
  })

  test('what overlaps itself arrives whole, in both directions', async () => {
    for (const [from, to] of [
      [0, 1000],
      [1000, 0],
    ] as const) {
      const { volume, initiator, self } = await served()
      const data = Buffer.from(fill(volume, from, 9000))
      expect((await copy(initiator, copyList([self], [{ blocks: 9000, from, to }]))).code).toBeNull()
      expect(at(volume, to, data.length).equals(data)).toBe(true)
    }
  })

  test('where the source holds nothing the destination takes no space either', async () => {
    const { volume, initiator, self } = await served()
    fill(volume, 8192, 4096)
    expect(
      (await copy(initiator, copyList([self], [{ blocks: 4096, from: 16384, to: 8192 }]))).code,
    ).toBeNull()
    expect(volume.kindsApplied).toContain(BlockKind.trim)
    expect(volume.kindsApplied).not.toContain(BlockKind.write)
    expect(volume.mapped.size).toBe(0)
    expect(at(volume, 8192, 4096 * BLOCK).every(byte => byte === 0)).toBe(true)
  })

  test('copies to another unit of the target, of another block size, named by NAA or T10 designator', async () => {
    const { device, volume, initiator, self } = await served()
    const large = new MemoryVolume({ blockSizeBytes: 4096 })
    await device.target.setUnits(
      new Map([
        [0, { volume, readOnly: false }],
        [1, { volume: large, readOnly: false }],
      ]),
    )
    await initiator.run(cdb.requestSense())
    const data = fill(volume, 0, 64)
    const segment = { source: 0, destination: 1, blocks: 64, to: 3 }
    expect((await copy(initiator, copyList([self, deviceDescriptor(large)], [segment]))).code).toBeNull()
    expect(at(large, 3, data.length).equals(data)).toBe(true)
    // DC: blocks of the destination.
    const counted = { source: CSCD_ID_SELF, destination: 0, blocks: 8, to: 100, flags: 0x02 }
    const byT10 = deviceDescriptor(large)
    byT10[5] = 1
    const t10 = Buffer.from(`HOLDFAST${large.uuid.replaceAll('-', '')}`).subarray(0, 20)
    byT10[7] = t10.length
    t10.copy(byT10, 8)
    expect((await copy(initiator, copyList([byT10], [counted]))).code).toBeNull()
    expect(at(large, 100, data.length).equals(data)).toBe(true)
    const inexact = { source: 0, destination: 1, blocks: 3, to: 3 }
    expect((await copy(initiator, copyList([self, deviceDescriptor(large)], [inexact]))).code).toEqual([
      0xa, 0x26, 0x0a,
    ])
  })

  test('who is not there, too large or of another block length cannot be copied to', async () => {
    const { volume, initiator, self } = await served()
    const stranger = deviceDescriptor(new MemoryVolume())
    const code = async (list: Buffer) => (await copy(initiator, list)).code
    expect(await code(copyList([self], [{ destination: 1 }]))).toEqual(unreachable)
    expect(await code(copyList([self, stranger], [{ destination: 1 }]))).toEqual(unreachable)
    expect(await code(copyList([deviceDescriptor(volume, 0xe4, 4096)], [{}]))).toEqual(unreachable)
    expect(await code(copyList([self], [{ to: 32767 }]))).toEqual([0xa, 0x00, 0x00])
    const details = (await initiator.run(receive(0x04))).data
    expect([details[56], details.readUInt16BE(58), details[60 + 2]! & 0x0f]).toEqual([2, 18, 0x0a])
    expect((await initiator.run(receive(0x00))).data[4]).toBe(0x82)
  })

  test('rights are those of the initiator: write protection, reservations', async () => {
    const { device, volume, initiator, self } = await served()
    const other = device.initiator()
    await other.run(cdb.reserveOut(0), { dataOut: reserveOutList(0n, 7n) })
    await other.run(cdb.reserveOut(1, 1), { dataOut: reserveOutList(7n, 0n) })
    expect((await copy(initiator, copyList([self], [{}]))).status).toBe(ScsiStatus.reservationConflict)
    await other.run(cdb.reserveOut(3), { dataOut: reserveOutList(7n, 0n) })
    volume.readOnly = true
    expect((await copy(initiator, copyList([self], [{}]))).code).toEqual([0x7, 0x27, 0x00])
  })

  test('a failing end fails the command, and no space is said as such', async () => {
    const { volume, initiator, self } = await served()
    fill(volume, 0, 16)
    volume.fault = kind => (kind === BlockKind.read ? { status: BlockStatus.mediumError } : null)
    expect((await copy(initiator, copyList([self], [{}]))).code).toEqual([0xa, 0x0d, 0x01])
    volume.fault = kind => (kind === BlockKind.write ? { status: BlockStatus.noSpace } : null)
    expect((await copy(initiator, copyList([self], [{}]))).code).toEqual([0x7, 0x27, 0x07])
  })

  test('taken back it ends with its piece, writes nothing more, and has no result', async () => {
    const { volume, initiator, self } = await served()
    const before = fill(volume, 0, 8192)
    volume.delayMs = 20
    const list = copyList([self], [{ blocks: 8192, to: 16384 }])
    const pending = initiator.begin(extendedCopy(list.length), { dataOut: list })
    pending.execute()
    await new Promise(resolve => setTimeout(resolve, 5))
    expect((await initiator.run(receive(0x00))).data[4]).toBe(0x00)
    expect((await copy(initiator, list)).code).toEqual([0x5, 0x00, 0x16])
    expect(await initiator.manage('abortTask', pending.command)).toBe('functionComplete')
    expect(await pending.answer).toBeNull()
    const applied = volume.kindsApplied.length
    await new Promise(resolve => setTimeout(resolve, 60))
    expect(volume.kindsApplied).toHaveLength(applied)
    expect(at(volume, 20000, 100 * BLOCK).equals(before.subarray(0, 100 * BLOCK))).toBe(false)
    expect((await initiator.run(receive(0x00))).code).toEqual([0x5, 0x24, 0x00])
  })

  test('lists that are too short, too long or hold what there is not are refused before anything is copied', async () => {
    const { volume, initiator, self } = await served()
    const code = async (list: Buffer) => (await copy(initiator, list)).code
    const whole = copyList([self], [{}])
    expect((await initiator.run(extendedCopy(0))).status).toBe(ScsiStatus.good)
    for (const length of [1, 15, 16 + 31, whole.length - 1]) {
      expect(await code(whole.subarray(0, length))).toEqual(listLengthError)
    }
    expect((await initiator.run(extendedCopy(17 + DESCRIPTOR_LIST_BYTES_MAX))).code).toEqual(listLengthError)
    const tooManyDevices = copyList(Array(CSCD_DESCRIPTORS_MAX + 1).fill(self), [{}])
    const tooManySegments = copyList([self], Array(SEGMENT_DESCRIPTORS_MAX + 1).fill({}))
    expect(await code(tooManyDevices)).toEqual([0x5, 0x26, 0x06])
    expect(await code(tooManySegments)).toEqual([0x5, 0x26, 0x08])
    expect(await code(copyList([deviceDescriptor(volume, 0xe0)], [{}]))).toEqual([0x5, 0x26, 0x07])
    expect(await code(copyList([self], [{ type: 0x0a }]))).toEqual([0x5, 0x26, 0x09])
    const inline = copyList([self], [{}])
    inline[15] = 1
    expect(await code(inline)).toEqual([0x5, 0x26, 0x0b])
    const [tape, long, odd] = [Buffer.from(whole), Buffer.from(whole), Buffer.from(whole)]
    tape[17] = 1
    long[16 + 7] = 21
    odd[16 + 32 + 3] = 25
    for (const list of [tape, long, odd, copyList([self], [{}], 1, 1), copyList([self], [{}], 1, 3)]) {
      expect(await code(list)).toEqual(invalidParameter)
    }
    expect(volume.kindsApplied).toEqual([])
    expect(await code(copyList([self], [{}], 0, 3))).toBeNull()
    expect((await initiator.run(receive(0x00, 0))).code).toEqual([0x5, 0x24, 0x00])
  })
})

test('operating parameters and page 8Fh tell the same limits and commands', async () => {
  const { initiator } = await served()
  expect((await initiator.run(cdb.inquiry())).data[5]! & 0x08).toBe(0x08)
  const parameters = (await initiator.run(receive(0x03))).data
  expect(parameters.readUInt32BE(0)).toBe(parameters.length - 4)
  expect([parameters.readUInt16BE(8), parameters.readUInt16BE(10), parameters.readUInt32BE(12)]).toEqual([
    CSCD_DESCRIPTORS_MAX,
    SEGMENT_DESCRIPTORS_MAX,
    DESCRIPTOR_LIST_BYTES_MAX,
  ])
  expect([...parameters.subarray(43)]).toEqual([2, 0x02, 0xe4])
  const page = (await initiator.run(cdb.inquiry(1, 0x8f))).data
  const found = new Map<number, Buffer>()
  for (let from = 4; from < page.length; from += 4 + page.readUInt16BE(from + 2)) {
    found.set(page.readUInt16BE(from), page.subarray(from + 4, from + 4 + page.readUInt16BE(from + 2)))
  }
  expect([...found.keys()]).toEqual([0x0001, 0x0004, 0x0008, 0x000c, 0x8001])
  expect([...found.get(0x0001)!.subarray(0, 9)]).toEqual([8, 0x83, 1, 0, 0x84, 3, 0, 3, 4])
  expect(found.get(0x0004)!.readUInt32BE(8)).toBe(DESCRIPTOR_LIST_BYTES_MAX)
})

test('results are held for so many ended copies, the oldest giving way', async () => {
  const { initiator, self } = await served()
  for (let listId = 0; listId <= COPY_RESULTS_MAX; listId++) {
    expect((await copy(initiator, copyList([self], [{ blocks: 1 }], listId))).code).toBeNull()
  }
  expect((await initiator.run(receive(0x00, 0))).code).toEqual([0x5, 0x24, 0x00])
  expect((await initiator.run(receive(0x00, 1))).data[4]).toBe(0x81)
})

test('what an initiator is logged in to at other targets can be copied to, with its rights there', async () => {
  const there = await ScsiDevice.serve()
  const here = await ScsiDevice.serve({}, { copyPartners: nexus => there.target.linksOf(nexus) })
  const initiator = here.initiator()
  const list = copyList([deviceDescriptor(here.volume), deviceDescriptor(there.volume)], [{ destination: 1 }])
  const data = fill(here.volume, 0, 16)
  expect((await copy(initiator, list)).code).toEqual(unreachable)
  const session = there.initiator()
  expect((await copy(initiator, list)).code).toBeNull()
  expect(at(there.volume, 4096, data.length).equals(data)).toBe(true)
  await session.leave()
  expect((await copy(initiator, list)).code).toEqual(unreachable)
  new ScsiInitiator(there.target, '00000000000f', 'iqn.2026-11.test:somebody-else')
  expect((await copy(initiator, list)).code).toEqual(unreachable)
})

test('a session that had to prove who it is lends its rights to its equals alone', async () => {
  const there = await ScsiDevice.serve()
  const here = await ScsiDevice.serve({}, { copyPartners: nexus => there.target.linksOf(nexus) })
  const as = (device: ScsiDevice, isid: string, proof: string | null) =>
    new ScsiInitiator(device.target, isid, 'iqn.2026-11.test:one', proof)
  const guarded = as(there, '000000000001', 'secret of one')
  const list = copyList([deviceDescriptor(there.volume), deviceDescriptor(here.volume)], [{ destination: 1 }])
  const nobody = as(here, '000000000002', null)
  expect((await copy(nobody, list)).code).toEqual(unreachable)
  expect((await copy(as(here, '000000000003', 'another secret'), list)).code).toEqual(unreachable)
  expect((await copy(as(here, '000000000004', 'secret of one'), list)).code).toBeNull()
  await guarded.leave()
  as(there, '000000000005', null)
  expect((await copy(as(here, '000000000006', 'secret of one'), list)).code).toBeNull()
  expect((await copy(nobody, list)).code).toBeNull()
})

test('a T10 designator names a unit by all that a descriptor holds of it, and by no less', async () => {
  const { volume, initiator } = await served()
  const page = (await initiator.run(cdb.inquiry(1, 0x83))).data
  const t10At = page.indexOf('HOLDFAST')
  const designator = page.subarray(t10At, t10At + page[t10At - 1]!)
  expect(designator.length).toBeGreaterThan(20)
  const code = async (lengthBytes: number) => {
    const descriptor = deviceDescriptor(volume)
    descriptor.fill(0, 4, 28).set([2, 1, 0, lengthBytes], 4)
    designator.copy(descriptor, 8, 0, lengthBytes)
    return (await copy(initiator, copyList([descriptor], [{}]))).code
  }
  expect(await code(20)).toBeNull()
  for (const lengthBytes of [0, 8, 9, 19]) expect(await code(lengthBytes)).toEqual(unreachable)
})

test('so many copies at one unit, and no more', async () => {
  const { volume, initiator, self } = await served()
  volume.delayMs = 20
  const begun = Array.from({ length: COPIES_MAX + 1 }, (_, listId) => {
    const list = copyList([self], [{ blocks: 1 }], listId)
    return initiator.run(extendedCopy(list.length), { dataOut: list })
  })
  const statuses = (await Promise.all(begun)).map(({ status }) => status)
  expect(statuses).toEqual([...Array(COPIES_MAX).fill(ScsiStatus.good), ScsiStatus.busy])
})
