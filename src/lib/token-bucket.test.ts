import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TokenBucket } from './token-bucket.ts'

test('scrub: whoever waits as told never exceeds the rate by more than the burst', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.array(fc.record({ amount: fc.integer({ min: 1, max: 5000 }), pauseMs: fc.nat(3000) }), {
        minLength: 1,
      }),
      (perSecond, steps) => {
        const burst = 5000
        const bucket = new TokenBucket(perSecond, burst, 0)
        let nowMs = 0
        let used = 0
        for (const { amount, pauseMs } of steps) {
          nowMs += pauseMs
          nowMs += bucket.take(amount, nowMs)
          used += amount
          expect(used).toBeLessThanOrEqual(burst + (perSecond * nowMs) / 1000 + 1)
        }
      },
    ),
  )
})

test('scrub: an idle hour earns one burst and no more', () => {
  const bucket = new TokenBucket(1000, 500, 0)
  expect(bucket.take(500, 3_600_000)).toBe(0)
  expect(bucket.take(100, 3_600_000)).toBe(100)
})
