import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockKind } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import {
  aBrick,
  aVolume,
  BLOCK,
  blocksOf,
  diskBytes,
  flush,
  killed,
  MIB,
  openIt,
  read,
  submit,
  trim,
  write,
  zero,
} from './brick-kit.ts'

const SLOT = 64 * MIB

test('read: what was never written is zeroes, in place, without touching a file', async () => {
  const { brick, files } = await aBrick()
  const volume = await aVolume(brick)
  const into = Buffer.alloc(2 * MIB, 7)
  files.calls.length = 0
  expect(volume.readNow(SLOT - MIB, 2 * MIB, into, 0)).toBe(BlockStatus.ok)
  expect(into.equals(Buffer.alloc(2 * MIB))).toBe(true)
  expect(files.calls).toEqual([])
})

test('write: the first into a region waits, the next ones are done in place', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  expect(volume.writeNow(0, BLOCK, blocksOf(1), 0)).toBe(BlockStatus.wouldBlock)
  expect(await write(volume, 0, blocksOf(1))).toBe(BlockStatus.ok)
  expect(volume.writeNow(8 * BLOCK, BLOCK, blocksOf(2), 0)).toBe(BlockStatus.ok)
  const into = blocksOf(9, 9)
  expect(volume.readNow(0, 9 * BLOCK, into, 0)).toBe(BlockStatus.ok)
  expect(into).toEqual(Buffer.concat([blocksOf(1), blocksOf(0, 7), blocksOf(2)]))
})

test('write: one across two extents lands in both', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  const data = Buffer.concat([blocksOf(3, 4), blocksOf(4, 4)])
  expect(await write(volume, SLOT - 4 * BLOCK, data)).toBe(BlockStatus.ok)
  expect((await read(volume, SLOT - 4 * BLOCK, 8 * BLOCK)).data).toEqual(data)
})

test('write: first ones into the same extent at the same time share one slot', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  const offsets = Array.from({ length: 16 }, (_, i) => i * 4 * MIB)
  const statuses = await Promise.all(offsets.map((at, i) => write(volume, at, blocksOf(i + 1))))
  expect(new Set(statuses)).toEqual(new Set([BlockStatus.ok]))
  expect(volume.usedBytes).toBe(16 * 256 * 1024)
  for (const [i, at] of offsets.entries()) expect((await read(volume, at, BLOCK)).data[0]).toBe(i + 1)
})

test('io: past the end of the volume is out of range and changes nothing', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick, MIB)
  expect(volume.readNow(MIB - BLOCK, 2 * BLOCK, blocksOf(0, 2), 0)).toBe(BlockStatus.outOfRange)
  expect(volume.writeNow(MIB, BLOCK, blocksOf(1), 0)).toBe(BlockStatus.outOfRange)
  expect(await write(volume, MIB, blocksOf(1))).toBe(BlockStatus.outOfRange)
  expect(volume.usedBytes).toBe(0)
})

test('trim: blocks read as zeroes, whole regions give their space back', async () => {
  const { brick, directory } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, Buffer.alloc(4 * MIB, 5))
  await flush(volume)
  const before = diskBytes(directory, 'data-0000')
  expect(await trim(volume, MIB, 2 * MIB + BLOCK)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(2 * MIB)
  expect(before - diskBytes(directory, 'data-0000')).toBeGreaterThanOrEqual(2 * MIB)
  const { data } = await read(volume, 0, 4 * MIB)
  expect(data.subarray(0, MIB).every(byte => byte === 5)).toBe(true)
  expect(data.subarray(MIB, 3 * MIB + BLOCK).every(byte => byte === 0)).toBe(true)
  expect(data.subarray(3 * MIB + BLOCK).every(byte => byte === 5)).toBe(true)
})

test('trim: a region emptied block by block gives its space back with the last', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(5, 3))
  expect(await trim(volume, 0, BLOCK)).toBe(BlockStatus.ok)
  expect(await trim(volume, 2 * BLOCK, BLOCK)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(256 * 1024)
  expect(await trim(volume, BLOCK, BLOCK)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(0)
  expect(await write(volume, BLOCK, blocksOf(6))).toBe(BlockStatus.ok)
  expect((await read(volume, 0, 3 * BLOCK)).data).toEqual(
    Buffer.concat([blocksOf(0), blocksOf(6), blocksOf(0)]),
  )
})

test('zero: reserves space and reads as zeroes, also where nothing was', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, 0, blocksOf(5, 4))
  expect(await zero(volume, BLOCK, MIB - BLOCK)).toBe(BlockStatus.ok)
  expect(volume.usedBytes).toBe(MIB)
  expect((await read(volume, 0, 2 * BLOCK)).data).toEqual(Buffer.concat([blocksOf(5), blocksOf(0)]))
})

test('extents: mapped and unmapped runs follow each other without gaps', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  await write(volume, BLOCK, blocksOf(1, 2))
  await write(volume, SLOT, blocksOf(1))
  expect(await volume.extents(0, SLOT + 2 * BLOCK)).toEqual([
    { offsetBytes: 0, lengthBytes: BLOCK, mapped: false },
    { offsetBytes: BLOCK, lengthBytes: 2 * BLOCK, mapped: true },
    { offsetBytes: 3 * BLOCK, lengthBytes: SLOT - 3 * BLOCK, mapped: false },
    { offsetBytes: SLOT, lengthBytes: BLOCK, mapped: true },
    { offsetBytes: SLOT + BLOCK, lengthBytes: BLOCK, mapped: false },
  ])
})

test('operation: blockDone is never called from inside submit', async () => {
  const { brick } = await aBrick()
  const volume = await aVolume(brick)
  let inside = true
  const done = submit(volume, BlockKind.read, 0, BLOCK, blocksOf(9)).then(() => inside)
  inside = false
  expect(await done).toBe(false)
})

test('random: a brick holds what a plain buffer holds, whatever is done to it, reopened and killed', async () => {
  const blocks = 2 * 64 * 4
  const operation = fc.record({
    kind: fc.constantFrom('write', 'write', 'writeNow', 'trim', 'zero', 'flush', 'clear', 'kill'),
    block: fc.integer({ min: 0, max: blocks - 1 }),
    count: fc.integer({ min: 1, max: 100 }),
    fill: fc.integer({ min: 1, max: 255 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 40 }), async operations => {
      let at = await aBrick()
      let volume = await aVolume(at.brick, blocks * BLOCK)
      const model = Buffer.alloc(blocks * BLOCK)
      for (const { kind, block, count: wanted, fill } of operations) {
        const count = Math.min(wanted, blocks - block)
        const offset = block * BLOCK
        const length = count * BLOCK
        if (kind === 'write' || kind === 'writeNow') {
          const data = blocksOf(fill, count)
          const now = kind === 'writeNow' ? volume.writeNow(offset, length, data, 0) : BlockStatus.wouldBlock
          if (now === BlockStatus.wouldBlock) expect(await write(volume, offset, data)).toBe(BlockStatus.ok)
          data.copy(model, offset)
        } else if (kind === 'trim' || kind === 'zero') {
          expect(await (kind === 'trim' ? trim : zero)(volume, offset, length)).toBe(BlockStatus.ok)
          model.fill(0, offset, offset + length)
        } else if (kind === 'flush') {
          expect(await flush(volume)).toBe(BlockStatus.ok)
        } else if (kind === 'clear') {
          await volume.clearSegments(volume.quietSegments(Number.POSITIVE_INFINITY, 100))
        } else {
          const directory = killed(at.directory)
          await at.brick[Symbol.asyncDispose]()
          at = await aBrick({ directory })
          volume = await openIt(at.brick)
        }
      }
      const { status, data } = await read(volume, 0, blocks * BLOCK)
      expect(status).toBe(BlockStatus.ok)
      expect(data.equals(model)).toBe(true)
      expect(at.brick.counters.checksumErrors).toBe(0)
      await at.brick[Symbol.asyncDispose]()
    }),
    { numRuns: 12 },
  )
}, 60_000)
