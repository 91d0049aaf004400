import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { BlockKind } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { Brick, VolumeExtents } from '../../../src/store/brick.ts'
import type { FileTask } from '../../../src/store/files/file-task.ts'
import { aBrick, aVolume, BLOCK, blocksOf, killed, MIB, read, submit, VOLUME, write } from './brick-kit.ts'
import type { FaultyFiles } from './faulty-files.ts'

const EXTENT = 64 * MIB
const REGION = 256 * 1024
/** More than are freed at once. */
const EXTENTS = 200

const soon = () => new Promise(resolve => setTimeout(resolve, 50))

function concerns(task: FileTask, name: string): boolean {
  const fds = [...(task.writes ?? []).map(({ fd }) => fd), ...(task.sync ?? [])]
  return fds.some(fd => path.basename(fs.readlinkSync(`/proc/self/fd/${fd}`)) === name)
}

/** The next task on a thread that concerns this file waits; resolves to what lets it go once it is there. */
function holdUp(files: FaultyFiles, name: string): Promise<() => void> {
  return new Promise(resolve => {
    let isHeld = false
    files.beforeTask = task => {
      if (isHeld || !concerns(task, name)) return
      isHeld = true
      return new Promise<void>(release => resolve(release))
    }
  })
}

async function fill(volume: VolumeExtents, valueAt: (extent: number) => number): Promise<void> {
  for (let extent = 0; extent < EXTENTS; extent++)
    expect(await write(volume, extent * EXTENT, blocksOf(valueAt(extent)))).toBe(BlockStatus.ok)
}

/** Extents that do not hold what was written there: none, unless some share a slot. */
async function mixedUp(volume: VolumeExtents): Promise<number[]> {
  const valueAt = (extent: number) => (extent % 255) + 1
  await fill(volume, valueAt)
  const wrong: number[] = []
  for (let extent = 0; extent < EXTENTS; extent++) {
    const { data } = await read(volume, extent * EXTENT, BLOCK)
    if (!data.equals(blocksOf(valueAt(extent)))) wrong.push(extent)
  }
  return wrong
}

async function mixedUpInNewVolume(brick: Brick): Promise<number[]> {
  expect(brick.capacity.usedBytes).toBe(0)
  return mixedUp(await aVolume(brick, EXTENTS * EXTENT))
}

test('deletion: who asks again while it is under way waits for it, and no slot comes to be of two extents', async () => {
  const { brick } = await aBrick()
  await fill(await aVolume(brick, EXTENTS * EXTENT), () => 7)
  let second: Promise<void> | null = null
  const told: number[] = []
  await brick.deleteVolume(VOLUME, () => {
    second ??= brick.deleteVolume(VOLUME, freedBytes => told.push(freedBytes))
  })
  await second
  expect(told.at(-1)).toBe(EXTENTS * REGION)
  expect(await mixedUpInNewVolume(brick)).toEqual([])
})

test('deletion: one that goes on after a restart, and is asked for again, frees each slot once', async () => {
  const { brick, files, directory } = await aBrick()
  await fill(await aVolume(brick, EXTENTS * EXTENT), () => 7)
  let copy = ''
  files.beforeTask = task => {
    if (task.punch !== undefined) copy ||= killed(directory)
  }
  await brick.deleteVolume(VOLUME)
  const again = await aBrick({ directory: copy })
  await soon()
  await again.brick.deleteVolume(VOLUME)
  expect(await mixedUpInNewVolume(again.brick)).toEqual([])
})

test('ranges: those that are freed twice at once are freed once', async () => {
  const { brick } = await aBrick()
  await aVolume(brick, EXTENTS * EXTENT)
  const volume = brick.replicas.volume(VOLUME)!
  await fill(volume, () => 7)
  const ranges = [0, 1, 2, 3]
  await Promise.all([volume.freeRanges(ranges), volume.freeRanges(ranges)])
  expect(brick.capacity.usedBytes).toBe(0)
  expect(await mixedUp(volume)).toEqual([])
  expect([brick.capacity.usedBytes, volume.usedBytes]).toEqual([EXTENTS * REGION, EXTENTS * REGION])
})

test('deletion: an atomic write that is durable and not yet in place does not fail the brick', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1))
  const held = holdUp(files, 'journal')
  const writing = submit(volume, BlockKind.writeAtomic, 0, BLOCK, blocksOf(2))
  const release = await held
  const deleting = brick.deleteVolume(VOLUME)
  await soon()
  release()
  expect((await writing).status).toBe(BlockStatus.outOfRange)
  await deleting
  expect(brick.failure).toBeNull()
})

test('ranges: a write that waits while its slot is freed gets another', async () => {
  const { brick, files } = await aBrick()
  await aVolume(brick)
  const volume = brick.replicas.volume(VOLUME)!
  await write(volume, 0, blocksOf(1))
  const held = holdUp(files, 'activity')
  const writing = write(volume, 8 * MIB, blocksOf(2))
  const release = await held
  const freed = volume.freeRanges([0])
  await soon()
  release()
  expect(await writing).toBe(BlockStatus.ok)
  await freed
  expect([brick.failure, (await read(volume, 8 * MIB, BLOCK)).data[0]]).toEqual([null, 2])
})

test('deletion: a copied trim that is under way leaves no slot behind, and the brick opens again', async () => {
  const { brick, files, directory } = await aBrick()
  await aVolume(brick)
  const volume = brick.replicas.volume(VOLUME)!
  await write(volume, 0, blocksOf(1))
  await volume.clearSegments([0])
  const held = holdUp(files, 'activity')
  const trimming = volume.trimIn(0, BLOCK, 5)
  const release = await held
  const deleting = brick.deleteVolume(VOLUME)
  await soon()
  release()
  await trimming
  await deleting
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory })
  expect(again.brick.volumes()).toEqual([])
})

test('ranges: space that a trim gives back meanwhile is given back once', async () => {
  const { brick, files } = await aBrick()
  await aVolume(brick)
  const volume = brick.replicas.volume(VOLUME)!
  await write(volume, 0, blocksOf(1))
  await volume.clearSegments([0])
  const held = holdUp(files, 'activity')
  const trimming = submit(volume, BlockKind.trim, 0, BLOCK)
  const release = await held
  const freed = volume.freeRanges([0])
  await soon()
  release()
  await trimming
  await freed
  expect([brick.capacity.usedBytes, volume.usedBytes]).toEqual([0, 0])
})

test('ranges: who asks what is there while some are freed hears of it afterwards, and what it copies then stays', async () => {
  const { brick, files } = await aBrick()
  const sizeBytes = EXTENTS * EXTENT
  const volume = await brick.replicas.createVolume({ uuid: VOLUME, sizeBytes, epoch: 1, setVersion: 1 })
  volume.generation = 1
  await fill(volume, () => 7)
  const held = holdUp(files, 'checksums-0000')
  const freed = volume.freeRanges([0, 1, 2, 3])
  const letGo = await held
  const last = (EXTENTS - 1) * EXTENT
  let isAnswered = false
  const asked = volume.regionsSince(0, 0, 10).then(regions => {
    isAnswered = true
    return regions
  })
  await soon()
  expect(isAnswered).toBe(false)
  letGo()
  expect(await asked).toEqual([])
  expect(await volume.copyIn(last, BLOCK, blocksOf(9), 0, 1)).toBe(BlockStatus.ok)
  await freed
  expect((await read(volume, last, BLOCK)).data).toEqual(blocksOf(9))
})
