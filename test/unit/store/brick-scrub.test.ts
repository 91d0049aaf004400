import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { slotDataAt } from '../../../src/store/layout.ts'
import { aBrick, aVolume, BLOCK, blocksOf, flush, killed, MIB, openIt, VOLUME, write } from './brick-kit.ts'

function damage(directory: string, atBytes: number): void {
  const fd = fs.openSync(path.join(directory, 'data-0000'), 'r+')
  fs.writeSync(fd, 'damage', slotDataAt(0) + atBytes)
  fs.closeSync(fd)
}

test('scrub: it reads what has space, counts a bad block and leaves a good brick alone', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(MIB, 1))
  await flush(volume)
  brick.startScrub()
  await expect.poll(() => brick.scrub?.endedAtMs, { timeout: 10_000 }).not.toBeNull()
  expect(brick.scrub).toMatchObject({ checkedBytes: MIB, totalBytes: MIB, badBlocks: 0, settledBlocks: 0 })
  damage(directory, 5 * BLOCK)
  brick.startScrub()
  await expect.poll(() => brick.scrub?.endedAtMs, { timeout: 10_000 }).not.toBeNull()
  expect(brick.scrub?.badBlocks).toBe(1)
  expect(brick.counters.checksumErrors).toBe(1)
})

test('scrub: what is in doubt after a kill is settled, and then in doubt no more', async () => {
  const { brick, directory } = await aBrick()
  await write(await aVolume(brick), 0, blocksOf(1, 8))
  const copy = killed(directory)
  damage(copy, BLOCK)
  const again = await aBrick({ directory: copy })
  again.brick.startScrub()
  await expect.poll(() => again.brick.scrub?.endedAtMs, { timeout: 10_000 }).not.toBeNull()
  expect(again.brick.scrub).toMatchObject({ badBlocks: 0, settledBlocks: 1 })
  await openIt(again.brick)
  damage(copy, 2 * BLOCK)
  again.brick.startScrub()
  await expect.poll(() => again.brick.scrub?.endedAtMs, { timeout: 10_000 }).not.toBeNull()
  expect(again.brick.scrub?.badBlocks).toBe(1)
})

test('scrub: with others to ask, what is in doubt is bad, and is told by its place in the volume', async () => {
  const { brick, directory } = await aBrick()
  const first = await aVolume(brick)
  await write(first, 70 * MIB, blocksOf(1, 8))
  const copy = killed(directory)
  damage(copy, 6 * MIB + 3 * BLOCK)
  const told: [string, number][] = []
  const again = await aBrick({
    directory: copy,
    blocksInDoubt: 'are bad',
  })
  again.brick.replicas.badBlockFound = (volume, offsetBytes) => told.push([volume, offsetBytes])
  again.brick.startScrub()
  await expect.poll(() => again.brick.scrub?.endedAtMs, { timeout: 10_000 }).not.toBeNull()
  expect(again.brick.scrub).toMatchObject({ badBlocks: 1, settledBlocks: 0 })
  expect(told).toEqual([[VOLUME, 70 * MIB + 3 * BLOCK]])
})
