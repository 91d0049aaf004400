import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  BOOT_2,
  blocksOf,
  killed,
  MIB,
  openIt,
  read,
  trim,
  VOLUME,
  write,
} from './brick-kit.ts'

const ALWAYS = Number.POSITIVE_INFINITY

test('activity: a sequential writer gets the rest of its extent in one commit, a random one its segment', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 20 * MIB, blocksOf(1))
  expect(volume.quietSegments(ALWAYS, 100)).toEqual([5])
  await write(volume, 24 * MIB, blocksOf(1))
  expect(volume.quietSegments(ALWAYS, 100).sort((a, b) => a - b)).toEqual([
    5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  ])
  files.calls.length = 0
  await write(volume, 40 * MIB, blocksOf(1))
  expect(files.calls.filter(call => call.file === 'activity')).toEqual([])
})

test('activity: quiet segments come least recently written first and not beyond the time asked for', async () => {
  let nowMs = 1000
  const { brick } = await aBrick({ clock: () => nowMs })
  const volume = await aVolume(brick)
  for (const [at, ms] of [
    [40, 3000],
    [8, 2000],
    [24, 4000],
  ] as const) {
    nowMs = ms
    await write(volume, at * MIB, blocksOf(1))
  }
  expect(volume.quietSegments(3500, 10)).toEqual([2, 10])
  expect(volume.quietSegments(ALWAYS, 2)).toEqual([2, 10])
})

test('clear: data, checksums and stamps are synced before the segment is clean', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  files.calls.length = 0
  await volume.clearSegments([0])
  const order = files.calls.filter(call => call.name === 'fdatasync').map(call => call.file)
  expect(order).toEqual(['data-0000', 'checksums-0000', 'stamps-0000', 'activity'])
  const again = await aBrick({ directory: killed(directory), bootId: () => BOOT_2 })
  expect(again.brick.state).toBe('warm')
})

test('clear: a segment written meanwhile stays active', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  await write(volume, 16 * MIB, blocksOf(1))
  let written: Promise<BlockStatus> | undefined
  files.beforeTask = task => {
    if (task.sync?.length !== 3) return undefined
    expect(volume.writeNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.wouldBlock)
    written = write(volume, 0, blocksOf(2))
    return written.then(() => undefined)
  }
  await volume.clearSegments([0, 4])
  expect(await written).toBe(BlockStatus.ok)
  expect(volume.quietSegments(ALWAYS, 10)).toEqual([0])
})

test('generation: when it rises, regions are stamped again before their next write', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  volume.generation = 5
  expect(volume.writeNow(0, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.wouldBlock)
  files.calls.length = 0
  await write(volume, 0, blocksOf(2))
  expect(files.calls.map(call => `${call.name} ${call.file}`)).toContain('pwrite stamps-0000')
  expect(() => {
    volume.generation = 4
  }).toThrow('never falls')
})

test('delete: the space comes back, and nothing of it is readable through the next volume', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(MIB, 7))
  await write(volume, 64 * MIB, Buffer.alloc(MIB, 7))
  const progress: number[] = []
  await brick.deleteVolume(VOLUME, freedBytes => progress.push(freedBytes))
  expect(progress).toEqual([2 * MIB])
  expect([brick.capacity.usedBytes, brick.volumes()]).toEqual([0, []])
  const next = await aVolume(brick)
  await write(next, 0, blocksOf(1))
  expect((await read(next, 0, MIB)).data.subarray(BLOCK).every(byte => byte === 0)).toBe(true)
})

test('delete: killed between freeing and punching, slots are emptied before they are used again', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(MIB, 7))
  let copy = ''
  files.beforeTask = task => {
    if (task.punch) copy ||= killed(directory)
  }
  await brick.deleteVolume(VOLUME)
  const again = await aBrick({ directory: copy })
  await expect.poll(() => again.brick.capacity.usedBytes).toBe(0)
  await expect
    .poll(() =>
      again.brick.createVolume({ uuid: VOLUME, sizeBytes: MIB, epoch: 1, setVersion: 1 }).then(
        () => 'made',
        () => 'busy',
      ),
    )
    .toBe('made')
  const next = await openIt(again.brick)
  await write(next, 0, blocksOf(1))
  expect((await read(next, BLOCK, MIB - BLOCK)).data.every(byte => byte === 0)).toBe(true)
})

test('delete: killed before any slot was freed, it goes on at the next open', async () => {
  const { brick, files, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(MIB, 7))
  await volume.clearSegments([0])
  let copy = ''
  files.beforeTask = async task => {
    if (task.punch) copy ||= killed(directory)
  }
  const deleting = brick.deleteVolume(VOLUME)
  await deleting
  const again = await aBrick({ directory: copy })
  expect(again.brick.volumes()).toEqual([])
  await expect(again.brick.openVolume(VOLUME)).rejects.toThrow('no descriptor')
})

test('trim: an activated segment records it, so that a reboot finds it', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1, 4))
  await volume.clearSegments([0])
  await trim(volume, 0, BLOCK)
  expect(volume.quietSegments(ALWAYS, 10)).toEqual([0])
  const again = await aBrick({ directory: killed(directory) })
  expect((await read(await openIt(again.brick), 0, 2 * BLOCK)).data).toEqual(
    Buffer.concat([blocksOf(0), blocksOf(1)]),
  )
})
