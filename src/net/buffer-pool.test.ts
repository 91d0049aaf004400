import { expect, test } from 'vitest'
import { BufferPool } from './buffer-pool.ts'

test('pool: a buffer that was given back is taken again', () => {
  const pool = new BufferPool(1 << 20)
  const first = pool.take(5000)
  expect(first.length).toBe(8192)
  pool.give(first)
  expect(pool.take(8000)).toBe(first)
  expect(pool.take(8000)).not.toBe(first)
})

test('pool: no more bytes are kept than allowed', () => {
  const pool = new BufferPool(16384)
  const buffers = Array.from({ length: 8 }, () => pool.take(4096))
  for (const buffer of buffers) pool.give(buffer)
  expect(pool.retainedBytes).toBe(16384)
})
