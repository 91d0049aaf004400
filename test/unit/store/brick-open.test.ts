import fs from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import { openBrick } from '../../../src/store/open-brick.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  blocksOf,
  CLUSTER,
  killed,
  MIB,
  openIt,
  read,
  tempDirectory,
  VOLUME,
  write,
} from './brick-kit.ts'

async function refusal(opening: Promise<unknown>): Promise<HoldfastError> {
  const error = await opening.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(HoldfastError)
  return error as HoldfastError
}

test('open: a directory without a brick is refused unless one is to be made', async () => {
  const directory = tempDirectory()
  expect((await refusal(openBrick({ directory, clusterId: CLUSTER }))).code).toBe('ERR_BRICK_DAMAGED')
})

test('open: a second daemon on the brick is refused and told where', async () => {
  const { directory } = await aBrick()
  const error = await refusal(openBrick({ directory, clusterId: CLUSTER }))
  expect(error.code).toBe('ERR_BRICK_LOCKED')
  expect(error.message).toContain(directory)
})

test('open: a brick of another cluster is refused', async () => {
  const { directory } = await aBrick()
  const error = await refusal(openBrick({ directory: killed(directory), clusterId: 'another' }))
  expect(error.code).toBe('ERR_BRICK_DAMAGED')
  expect(error.message).toContain(CLUSTER)
})

test.each(['superblock', 'data-0000', 'checksums-0000', 'stamps-0000', 'activity', 'journal'])(
  'open: a newer format in %s is refused, naming both versions',
  async name => {
    const { brick, directory } = await aBrick()
    await write(await aVolume(brick), 0, blocksOf(1))
    const copy = killed(directory)
    const fd = fs.openSync(path.join(copy, name), 'r+')
    fs.writeSync(fd, Buffer.from([9, 0, 0, 0]), 0, 4, 8)
    fs.closeSync(fd)
    const error = await refusal(openBrick({ directory: copy, clusterId: CLUSTER }))
    expect(error.code).toBe('ERR_BRICK_FORMAT')
    expect(error.message).toMatch(/format 9.*format 1/)
  },
)

test.each(['data-0000', 'checksums-0000', 'stamps-0000', 'activity', 'journal'])(
  'open: a brick whose %s is missing is damaged, not empty',
  async name => {
    const { brick, directory } = await aBrick()
    await write(await aVolume(brick), 0, blocksOf(1))
    const copy = killed(directory)
    fs.rmSync(path.join(copy, name))
    const error = await refusal(openBrick({ directory: copy, clusterId: CLUSTER, create: true }))
    expect(error.code).toBe('ERR_BRICK_DAMAGED')
    expect(error.message).toContain(name)
  },
)

test('open: meta/data.mdb that is no database any more is refused by name', async () => {
  const { directory } = await aBrick()
  const copy = killed(directory)
  const fd = fs.openSync(path.join(copy, 'meta/data.mdb'), 'r+')
  fs.writeSync(fd, Buffer.alloc(4096, 0xff), 0, 4096, 4096)
  fs.closeSync(fd)
  const error = await refusal(openBrick({ directory: copy, clusterId: CLUSTER }))
  expect([error.code, error.message]).toEqual([
    'ERR_BRICK_DAMAGED',
    expect.stringMatching(/meta\/data.mdb is not a database$/),
  ])
})

test('open: what a brick never finished left behind does not get into the next one', async () => {
  const directory = tempDirectory()
  fs.writeFileSync(path.join(directory, 'data-0000'), 'leftover')
  const { brick } = await aBrick({ directory })
  expect(await write(await aVolume(brick), 0, blocksOf(1))).toBe(BlockStatus.ok)
})

test('open: the counter rises each time and the metadata is asked before anything is served', async () => {
  const seen: number[] = []
  const metadataOpenCounter = async ({ openCounter }: { openCounter: number }) => {
    seen.push(openCounter)
    if (openCounter === 3) throw new HoldfastError('ERR_BRICK_STALE')
  }
  const { brick, directory } = await aBrick({ metadataOpenCounter })
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory, metadataOpenCounter })
  expect(again.brick.openCounter).toBe(2)
  await again.brick[Symbol.asyncDispose]()
  const third = openBrick({ directory, clusterId: CLUSTER, metadataOpenCounter })
  expect((await refusal(third)).code).toBe('ERR_BRICK_STALE')
  expect(seen).toEqual([1, 2, 3])
})

test('volume: without a descriptor it is unknown, never zeroes', async () => {
  const { brick } = await aBrick()
  expect((await refusal(brick.openVolume(VOLUME))).code).toBe('ERR_VOLUME_NOT_FOUND')
})

test('volume: made and grown, it is there after a kill, and makes no smaller one', async () => {
  const { brick, directory } = await aBrick()
  await aVolume(brick, 64 * MIB)
  await brick.growVolume(VOLUME, 200 * MIB)
  await aVolume(brick, 64 * MIB)
  expect((await refusal(brick.growVolume(VOLUME, 100 * MIB))).code).toBe('ERR_VOLUME_SHRINK')
  const copy = await aBrick({ directory: killed(directory) })
  expect(copy.brick.volumes()).toEqual([VOLUME])
  const volume = await openIt(copy.brick)
  expect((await read(volume, 199 * MIB, MIB)).status).toBe(BlockStatus.ok)
})

test('growth: of two at once the larger stays, and the brick opens again', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick, 64 * MIB)
  await Promise.all([brick.growVolume(VOLUME, 256 * MIB), brick.growVolume(VOLUME, 128 * MIB)])
  expect(await write(volume, 192 * MIB, blocksOf(1))).toBe(BlockStatus.ok)
  await brick[Symbol.asyncDispose]()
  const again = await aBrick({ directory })
  expect((await read(await openIt(again.brick), 192 * MIB, BLOCK)).data).toEqual(blocksOf(1))
})
