import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { checksumBlocks } from '../../../src/lib/block-checksums.ts'
import { aBrick, aVolume, BLOCK, blocksOf, read, write } from './brick-kit.ts'

test('write: checksums that the caller brings are those that later reads are held against', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(1, 2))
  const data = blocksOf(3, 4)
  const checksums = new Uint32Array(2)
  checksumBlocks(data, 0, 2, checksums)
  expect(volume.writeNow(0, 2 * BLOCK, data, 0, checksums)).toBe(BlockStatus.ok)
  expect((await read(volume, 0, 2 * BLOCK)).status).toBe(BlockStatus.ok)

  checksums[1]! ^= 1
  expect(volume.writeNow(0, 2 * BLOCK, data, 0, checksums)).toBe(BlockStatus.ok)
  expect((await read(volume, 0, BLOCK)).status).toBe(BlockStatus.ok)
  expect((await read(volume, BLOCK, BLOCK)).status).toBe(BlockStatus.mediumError)
})
