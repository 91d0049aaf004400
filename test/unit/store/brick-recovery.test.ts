import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import {
  CHECKSUM_BYTES,
  KNOWN_ZERO,
  STAMP_UNKNOWN,
  slotChecksumsAt,
  slotDataAt,
  stampPageAt,
} from '../../../src/store/layout.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  BOOT_2,
  BOOT_3,
  blocksOf,
  flush,
  killed,
  MIB,
  openIt,
  read,
  VOLUME,
  write,
} from './brick-kit.ts'
import { FaultyFiles } from './faulty-files.ts'

function overwrite(directory: string, name: string, offsetBytes: number, bytes: Buffer): void {
  const fd = fs.openSync(path.join(directory, name), 'r+')
  fs.writeSync(fd, bytes, 0, bytes.length, offsetBytes)
  fs.closeSync(fd)
}

function firstBlocks(directory: string, count: number): Buffer {
  const fd = fs.openSync(path.join(directory, 'data-0000'), 'r')
  const bytes = Buffer.alloc(count * BLOCK)
  fs.readSync(fd, bytes, 0, bytes.length, slotDataAt(0))
  fs.closeSync(fd)
  return bytes
}

function firstStamps(directory: string, count: number): number[] {
  const page = fs.readFileSync(path.join(directory, 'stamps-0000')).subarray(stampPageAt(0))
  return Array.from({ length: count }, (_, region) => page.readUInt32LE(16 + region * 4))
}

test('kill: a block whose data and checksum differ in an active segment stands', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1, 4))
  const copy = killed(directory)
  overwrite(copy, 'data-0000', slotDataAt(0) + BLOCK, blocksOf(2))
  const again = await aBrick({ directory: copy })
  const volume = await openIt(again.brick)
  const { status, data } = await read(volume, 0, 4 * BLOCK)
  expect(status).toBe(BlockStatus.ok)
  expect(data).toEqual(Buffer.concat([blocksOf(1), blocksOf(2), blocksOf(1, 2)]))
  expect(again.brick.counters.checksumErrors).toBe(0)
})

test('kill: what differs in a segment that was clean is a medium error, of that block alone', async () => {
  const { brick, directory } = await aBrick()
  const first = await aVolume(brick)
  await write(first, 0, blocksOf(1, 4))
  await first.clearSegments([0])
  const copy = killed(directory)
  overwrite(copy, 'data-0000', slotDataAt(0) + BLOCK, blocksOf(2))
  const again = await aBrick({ directory: copy })
  const volume = await openIt(again.brick)
  const { status, failedAtBytes } = await read(volume, 0, 4 * BLOCK)
  expect([status, failedAtBytes]).toEqual([BlockStatus.mediumError, BLOCK])
  expect(volume.readNow(0, 4 * BLOCK, blocksOf(0, 4), 0)).toBe(BlockStatus.mediumError)
  expect(volume.failedAtBytes).toBe(BLOCK)
  expect((await read(volume, 2 * BLOCK, 2 * BLOCK)).status).toBe(BlockStatus.ok)
  expect(again.brick.counters.checksumErrors).toBe(2)
})

test('kill: doubt survives a second kill and ends when the segment is cleared, which reads it through', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1, 4))
  const once = killed(directory)
  overwrite(once, 'data-0000', slotDataAt(0), blocksOf(2))
  const second = await aBrick({ directory: once })
  const twice = killed(second.directory)
  const third = await aBrick({ directory: twice })
  const volume = await openIt(third.brick)
  await volume.clearSegments([0])
  await third.brick[Symbol.asyncDispose]()
  const fourth = await aBrick({ directory: twice })
  expect((await read(await openIt(fourth.brick), 0, BLOCK)).data).toEqual(blocksOf(2))
  overwrite(twice, 'data-0000', slotDataAt(0), blocksOf(3))
  expect((await read(await openIt(fourth.brick), 0, BLOCK)).status).toBe(BlockStatus.mediumError)
})

test('clean stop: nothing is in doubt and nothing is active', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory, bootId: () => BOOT_2 })
  expect(again.brick.state).toBe('warm')
  expect((await openIt(again.brick)).quietSegments(Number.POSITIVE_INFINITY, 10)).toEqual([])
})

test('reboot: active segments make the brick cold until they are cleared, whatever restarts come', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  const copy = killed(directory)
  const rebooted = await aBrick({ directory: copy, bootId: () => BOOT_2 })
  expect(rebooted.brick.state).toBe('cold')
  expect((await read(await openIt(rebooted.brick), 0, BLOCK)).data).toEqual(blocksOf(1))
  const restarted = await aBrick({ directory: killed(copy), bootId: () => BOOT_2 })
  expect(restarted.brick.state).toBe('cold')
  const volume = await openIt(restarted.brick)
  await volume.clearSegments(volume.quietSegments(Number.POSITIVE_INFINITY, 10))
  expect(restarted.brick.state).toBe('warm')
})

test('reboot: stamps of active segments are written as unknown, and the owner makes them current', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  expect(firstStamps(directory, 2)).toEqual([1, 0])
  const copy = killed(directory)
  const rebooted = await aBrick({ directory: copy, bootId: () => BOOT_2 })
  expect(firstStamps(copy, 17)).toEqual([...Array(16).fill(STAMP_UNKNOWN), 0])
  const volume = await rebooted.brick.openVolume(VOLUME)
  volume.generation = 7
  await expect.poll(() => firstStamps(copy, 17)).toEqual([...Array(16).fill(7), 0])
})

test('reboot: lost stamps do not lose the space that flushed blocks take', async () => {
  const { brick, directory } = await aBrick()
  const first = await aVolume(brick)
  await write(first, 0, blocksOf(1))
  await write(first, MIB, Buffer.alloc(MIB, 1))
  await flush(first)
  const copy = killed(directory)
  overwrite(copy, 'stamps-0000', stampPageAt(0), Buffer.alloc(4096))
  const rebooted = await aBrick({ directory: copy, bootId: () => BOOT_2 })
  expect((await openIt(rebooted.brick)).usedBytes).toBe(1.25 * MIB)
  expect((await read(await openIt(rebooted.brick), 0, BLOCK)).data).toEqual(blocksOf(1))
})

test.each([
  { left: 'a write without its checksum', entry: 0 },
  { left: 'a trim without its hole', entry: KNOWN_ZERO },
])('power cuts: what one leaves of $left is not what the next leaves of a write', async ({ entry }) => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1, 4))
  const once = killed(directory)
  const checksum = Buffer.alloc(CHECKSUM_BYTES)
  checksum.writeUInt32LE(entry)
  overwrite(once, 'checksums-0000', slotChecksumsAt(0) + CHECKSUM_BYTES, checksum)

  const files = new FaultyFiles()
  let synced = firstBlocks(once, 4)
  files.before = ({ name, file }) => {
    if (name === 'fdatasync' && file === 'data-0000') synced = firstBlocks(once, 4)
    return 0
  }
  const second = await aBrick({ directory: once, bootId: () => BOOT_2, files })
  files.before = () => 0
  expect(await write(await openIt(second.brick), BLOCK, blocksOf(2))).toBe(BlockStatus.ok)
  const twice = killed(once)
  overwrite(twice, 'data-0000', slotDataAt(0), synced)

  const third = await aBrick({ directory: twice, bootId: () => BOOT_3 })
  const { status, data } = await read(await openIt(third.brick), 0, 4 * BLOCK)
  expect(status).toBe(BlockStatus.ok)
  expect(data).toEqual(Buffer.concat([blocksOf(1), blocksOf(0), blocksOf(1, 2)]))
})

test('damage: a page of stamps that fails its checksum costs the stamps, not the data', async () => {
  const { brick, directory } = await aBrick()
  const first = await aVolume(brick)
  await write(first, 0, Buffer.alloc(MIB, 1))
  await write(first, 64 * MIB, blocksOf(2))
  await brick[Symbol.asyncDispose]()
  overwrite(directory, 'stamps-0000', stampPageAt(0) + 100, Buffer.from('damage'))
  const again = await aBrick({ directory })
  const volume = await again.brick.openVolume(VOLUME)
  expect(volume.usedBytes).toBe(1.25 * MIB)
  expect(firstStamps(directory, 256)).toEqual(Array(256).fill(STAMP_UNKNOWN))
  expect((await read(volume, 64 * MIB, BLOCK)).data).toEqual(blocksOf(2))
})

test('damage: a page of activity that fails its checksum makes all of its segments active', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  await brick[Symbol.asyncDispose]()
  overwrite(directory, 'activity', 4096 + 100, Buffer.from('damage'))
  const again = await aBrick({ directory })
  expect((await openIt(again.brick)).quietSegments(Number.POSITIVE_INFINITY, 100)).toHaveLength(16)
})

test('reboot: deleting the volume whose segments were in doubt ends the doubt', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1))
  const rebooted = await aBrick({ directory: killed(directory), bootId: () => BOOT_2 })
  expect(rebooted.brick.state).toBe('cold')
  await rebooted.brick.deleteVolume(VOLUME)
  expect(rebooted.brick.state).toBe('warm')
})

test('stamps: a damaged page that is being put right when the process is killed is found damaged again', async () => {
  const other = '7f9619ff-8b86-4d01-b42d-00cf4fc964ff'
  const { brick, directory } = await aBrick()
  const one = await aVolume(brick, 64 * MIB)
  await brick.createVolume({ uuid: other, sizeBytes: 64 * MIB, epoch: 1, setVersion: 1 })
  const two = await brick.openVolume(other)
  two.generation = 1
  await write(one, 0, blocksOf(1))
  await write(two, 0, blocksOf(2))
  await brick[Symbol.asyncDispose]()
  overwrite(directory, 'stamps-0000', stampPageAt(0) + 2048, Buffer.alloc(512, 0x55))

  const files = new FaultyFiles()
  const copies: string[] = []
  files.before = call => {
    if (call.name === 'pwrite' && call.file === 'stamps-0000') copies.push(killed(directory))
    return 0
  }
  await aBrick({ directory, files })
  expect(copies.length).toBeGreaterThan(16)
  // In the middle: the slot of one volume is done, that of the other is not.
  for (const copy of [copies[8]!, copies[16]!, copies.at(-1)!]) {
    const again = await aBrick({ directory: copy })
    const first = await read(await openIt(again.brick), 0, BLOCK)
    const second = await read(await again.brick.openVolume(other), 0, BLOCK)
    expect([first.data[0], second.data[0]]).toEqual([1, 2])
  }
})

test('clean stop: what others may have stays active, and is in no doubt after a reboot', async () => {
  const { brick, directory } = await aBrick({ blocksInDoubt: 'are bad' })
  await write(await aVolume(brick), 0, blocksOf(1))
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory, blocksInDoubt: 'are bad', bootId: () => BOOT_2 })
  const volume = again.brick.replicas.volume(VOLUME)!
  expect([volume.activeSegments(), volume.suspectSegments(), again.brick.state]).toEqual([[0], [], 'warm'])
  expect(volume.quietSegments(Date.now() + 1, 10)).toEqual([0])

  const restarted = await aBrick({
    directory: killed(directory),
    blocksInDoubt: 'are bad',
    bootId: () => BOOT_2,
  })
  expect(restarted.brick.state).toBe('warm')
  const rebooted = await aBrick({
    directory: killed(directory),
    blocksInDoubt: 'are bad',
    bootId: () => BOOT_3,
  })
  expect(rebooted.brick.replicas.volume(VOLUME)!.suspectSegments()).toEqual([0])
})

test('clean stop: one of a brick in doubt does not end the doubt', async () => {
  const { brick, directory } = await aBrick({ blocksInDoubt: 'are bad' })
  await write(await aVolume(brick), 0, blocksOf(1))
  const inDoubt = await aBrick({
    directory: killed(directory),
    blocksInDoubt: 'are bad',
    bootId: () => BOOT_2,
  })
  expect(inDoubt.brick.state).toBe('cold')
  await inDoubt.brick[Symbol.asyncDispose]()
  const again = await aBrick({
    directory: inDoubt.directory,
    blocksInDoubt: 'are bad',
    bootId: () => BOOT_3,
  })
  expect([again.brick.state, again.brick.replicas.volume(VOLUME)!.suspectSegments()]).toEqual(['cold', [0]])
})

test('clean stop: what had begun ends before everything is made durable', async () => {
  const files = new FaultyFiles()
  const { brick, directory } = await aBrick({ blocksInDoubt: 'are bad', files })
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  // The segment becomes active long after the rest would be durable.
  files.beforeTask = ({ writes = [] }) =>
    writes.length > 0 ? new Promise(resolve => void setTimeout(resolve, 50)) : undefined
  const begun = write(volume, 5 * MIB, blocksOf(2))
  await brick[Symbol.asyncDispose]()
  expect(await begun).toBe(BlockStatus.ok)
  const ofData = files.calls.filter(({ file }) => file.startsWith('data'))
  expect(ofData.findLastIndex(({ name }) => name === 'pwrite')).toBeLessThan(
    ofData.findLastIndex(({ name }) => name === 'fdatasync'),
  )
  const again = await aBrick({ directory, blocksInDoubt: 'are bad', bootId: () => BOOT_2 })
  expect(again.brick.state).toBe('warm')
  expect((await read(await openIt(again.brick), 5 * MIB, BLOCK)).data[0]).toBe(2)
})
