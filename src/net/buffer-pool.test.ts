import { expect, test } from 'vitest'
import { BufferPool, POOL_HEADROOM_BYTES } from './buffer-pool.ts'

test('pool: a buffer that was given back is taken again', () => {
  const pool = new BufferPool(1 << 20)
  const first = pool.take(10_000)
  expect(first.length).toBe(8192 + POOL_HEADROOM_BYTES)
  pool.give(first)
  expect(pool.take(12_000)).toBe(first)
  expect(pool.take(12_000)).not.toBe(first)
})

test('pool: no more bytes are kept than allowed', () => {
  const pool = new BufferPool(4 * (4096 + POOL_HEADROOM_BYTES))
  const buffers = Array.from({ length: 8 }, () => pool.take(4096))
  for (const buffer of buffers) pool.give(buffer)
  expect(pool.retainedBytes).toBe(4 * (4096 + POOL_HEADROOM_BYTES))
})
