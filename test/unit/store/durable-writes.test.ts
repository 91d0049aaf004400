import { expect, test } from 'vitest'
import { BlockKind } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { Errno } from '../../../src/lib/system-calls.ts'
import type { VolumeExtents } from '../../../src/store/brick.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  BOOT_2,
  blocksOf,
  flush,
  KIB,
  killed,
  MIB,
  openIt,
  read,
  submit,
  VOLUME,
  write,
} from './brick-kit.ts'

async function durably(volume: VolumeExtents, offsetBytes: number, data: Buffer): Promise<BlockStatus> {
  return (await submit(volume, BlockKind.write, offsetBytes, data.length, data, true)).status
}

/** The last of them are journalled, the first is written in place. */
function manyDurably(volume: VolumeExtents, count: number, value: number): Promise<BlockStatus[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => durably(volume, i * 2 * BLOCK, blocksOf(value + i))),
  )
}

const ALL_OK = new Set<BlockStatus>([BlockStatus.ok])

test('durable write: those that come together share syncs of the journal', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await flush(volume)
  files.calls.length = 0
  expect(new Set(await manyDurably(volume, 16, 1))).toEqual(ALL_OK)
  const syncs = files.calls.filter(call => call.name === 'fdatasync').map(call => call.file)
  expect(syncs).toContain('journal')
  expect(syncs.length).toBeLessThan(8)
  expect((await read(volume, 30 * BLOCK, BLOCK)).data).toEqual(blocksOf(16))
})

test('durable write: large ones and lone ones do not go through the journal', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(MIB, 9))
  await flush(volume)
  files.calls.length = 0
  await Promise.all([
    durably(volume, 0, Buffer.alloc(128 * KIB, 1)),
    durably(volume, 512 * KIB, Buffer.alloc(128 * KIB, 1)),
  ])
  await durably(volume, 0, blocksOf(2))
  expect(files.calls.filter(call => call.file === 'journal')).toEqual([])
})

test('durable write: the first after others had company goes through the journal, too, until several were alone', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await flush(volume)
  await manyDurably(volume, 4, 1)
  const isJournalled = async (value: number) => {
    files.calls.length = 0
    await durably(volume, 0, blocksOf(value))
    return files.calls.some(call => call.name === 'fdatasync' && call.file === 'journal')
  }
  expect(await isJournalled(5)).toBe(true)
  for (let value = 6; value < 10; value++) await isJournalled(value)
  expect(await isJournalled(11)).toBe(false)
})

test('journal: a record whose data was lost is put in place at the next open after a reboot', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await flush(volume)
  let copy = ''
  files.before = call => {
    if (call.name === 'pwrite' && call.file === 'data-0000' && journalled() && copy === '')
      copy = killed(directory)
    return 0
  }
  const journalled = () => files.calls.some(call => call.name === 'fdatasync' && call.file === 'journal')
  files.calls.length = 0
  expect(new Set(await manyDurably(volume, 8, 1))).toEqual(ALL_OK)
  const again = await aBrick({ directory: copy, bootId: () => BOOT_2 })
  const { data } = await read(await openIt(again.brick), 0, 16 * BLOCK)
  expect([data[2 * BLOCK], data[BLOCK]]).toEqual([2, 9])
})

test('journal: it never brings back what was overwritten and flushed', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await manyDurably(volume, 8, 1)
  await write(volume, 0, blocksOf(7, 16))
  await flush(volume)
  const again = await aBrick({ directory: killed(directory), bootId: () => BOOT_2 })
  expect((await read(await openIt(again.brick), 0, 16 * BLOCK)).data).toEqual(blocksOf(7, 16))
})

test('journal: after a kill it does not undo what was written later and not flushed', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await manyDurably(volume, 8, 1)
  await write(volume, 0, blocksOf(7, 16))
  const again = await aBrick({ directory: killed(directory) })
  expect((await read(await openIt(again.brick), 0, 16 * BLOCK)).data).toEqual(blocksOf(7, 16))
})

test('journal: more durable writes than it holds go on', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(2 * MIB, 9))
  for (let round = 0; round < 12; round++) {
    const writes = Array.from({ length: 16 }, (_, i) =>
      durably(volume, i * 64 * KIB, Buffer.alloc(64 * KIB, round)),
    )
    expect(new Set(await Promise.all(writes))).toEqual(ALL_OK)
  }
  expect((await read(volume, 0, MIB)).data.every(byte => byte === 11)).toBe(true)
})

test('journal: a failing sync of it takes the brick out of service', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  files.before = call => (call.name === 'fdatasync' && call.file === 'journal' ? -Errno.EIO : 0)
  const statuses = await manyDurably(volume, 8, 1)
  expect(statuses.slice(1)).toEqual(Array(7).fill(BlockStatus.ioError))
  expect(brick.failure).not.toBeNull()
})

test('journal: records of a deleted volume are not put into its successor', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(9, 64))
  await manyDurably(volume, 8, 1)
  await brick.deleteVolume(VOLUME)
  const next = await aVolume(brick)
  await write(next, 0, blocksOf(5, 64))
  await flush(next)
  files.calls.length = 0
  const again = await aBrick({ directory: killed(directory), bootId: () => BOOT_2 })
  expect((await read(await openIt(again.brick), 0, 64 * BLOCK)).data).toEqual(blocksOf(5, 64))
})

test('atomic write: killed or powered off at any write, it is there whole or not at all', {
  timeout: 90_000,
}, async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  // Over the end of an extent, so that it is not one write in place.
  const offsetBytes = 64 * MIB - 512 * KIB
  await write(volume, offsetBytes, Buffer.alloc(MIB, 9))
  await flush(volume)
  const copies: string[] = []
  files.before = call => {
    const isPayload = call.file === 'journal' || call.file.startsWith('data-')
    if (call.name === 'pwrite' && isPayload) copies.push(killed(directory))
    return 0
  }
  const data = Buffer.alloc(MIB, 5)
  const { status } = await submit(volume, BlockKind.writeAtomic, offsetBytes, MIB, data, false)
  copies.push(killed(directory))
  expect([status, brick.failure]).toEqual([BlockStatus.ok, null])
  const seen = new Set<number>()
  for (const [index, copy] of copies.entries()) {
    const rebooted = index % 2 === 0 ? { bootId: () => BOOT_2 } : {}
    const again = await aBrick({ directory: copy, ...rebooted })
    const found = (await read(await openIt(again.brick), offsetBytes, MIB)).data
    expect(new Set(found).size).toBe(1)
    seen.add(found[0]!)
    // Whoever opens it must know which blocks may have come that others do not have.
    const { atomicsAtOpen } = again.brick.replicas.volume(VOLUME)!
    if (found[0] === 5) expect(atomicsAtOpen).toEqual([{ offsetBytes, lengthBytes: MIB }])
    await again.brick[Symbol.asyncDispose]()
  }
  expect(seen).toEqual(new Set([9, 5]))
})
