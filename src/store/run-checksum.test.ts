import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { crc32c } from '../lib/crc32c.ts'
import { BLOCK_BYTES, entryOf } from './layout.ts'
import { runHolds } from './run-checksum.ts'

const BLOCKS = 5

function entriesOf(bytes: Buffer): Uint32Array {
  return Uint32Array.from({ length: BLOCKS }, (_, i) => entryOf(crc32c(bytes, i * BLOCK_BYTES, BLOCK_BYTES)))
}

test('run of blocks: holds when each of them does', () => {
  const bytes = randomBytes(BLOCKS * BLOCK_BYTES)
  const entries = entriesOf(bytes)
  expect(runHolds(entries, 0, BLOCKS, bytes, 0)).toBe(true)
  expect(runHolds(entries, 2, 3, bytes, 2 * BLOCK_BYTES)).toBe(true)
  expect(runHolds(entries, 4, 1, bytes, 4 * BLOCK_BYTES)).toBe(true)
})

test('run of blocks: one bit, or two blocks that changed places, do not pass', () => {
  const bytes = randomBytes(BLOCKS * BLOCK_BYTES)
  const entries = entriesOf(bytes)
  for (const at of [0, BLOCK_BYTES - 1, 2 * BLOCK_BYTES, BLOCKS * BLOCK_BYTES - 1]) {
    bytes[at]! ^= 0x10
    expect(runHolds(entries, 0, BLOCKS, bytes, 0)).toBe(false)
    bytes[at]! ^= 0x10
  }
  const first = Buffer.from(bytes.subarray(0, BLOCK_BYTES))
  bytes.copyWithin(0, BLOCK_BYTES, 2 * BLOCK_BYTES)
  first.copy(bytes, BLOCK_BYTES)
  expect(runHolds(entries, 0, BLOCKS, bytes, 0)).toBe(false)
})

test('run of blocks: with a block that is not there it is left to a closer look', () => {
  const bytes = randomBytes(BLOCKS * BLOCK_BYTES)
  const entries = entriesOf(bytes)
  entries[3] = 1
  expect(runHolds(entries, 0, BLOCKS, bytes, 0)).toBe(false)
})
