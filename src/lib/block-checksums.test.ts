import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { CHECKSUM_BLOCK_BYTES, checksumBlocks, withBlock } from './block-checksums.ts'
import { crc32c } from './crc32c.ts'

test('block checksums: together they are the checksum of all blocks', () => {
  const bytes = randomBytes(7 * CHECKSUM_BLOCK_BYTES + 5)
  const each = new Uint32Array(7)
  expect(checksumBlocks(bytes, 5, 7, each)).toBe(crc32c(bytes, 5))
  expect(each[3]).toBe(crc32c(bytes, 5 + 3 * CHECKSUM_BLOCK_BYTES, CHECKSUM_BLOCK_BYTES))
})

test('block checksums: one block after nothing is its own checksum', () => {
  const block = randomBytes(CHECKSUM_BLOCK_BYTES)
  expect(withBlock(0, crc32c(block))).toBe(crc32c(block))
})
