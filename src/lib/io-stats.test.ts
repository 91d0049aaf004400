import { expect, test } from 'vitest'
import { IoStats, LATENCY_BUCKETS } from './io-stats.ts'

test('latency: each value falls into the bucket of its power of two', () => {
  const stats = new IoStats()
  for (const us of [0.3, 1, 2, 3.9, 4, 1000, 1024, 2 ** 40]) stats.addLatency(us)
  const filled = [...stats.latency].flatMap((count, bucket) => (count > 0 ? [[bucket, count]] : []))
  expect(filled).toEqual([
    [0, 2],
    [1, 2],
    [2, 1],
    [9, 1],
    [10, 1],
    [LATENCY_BUCKETS - 1, 1],
  ])
})
