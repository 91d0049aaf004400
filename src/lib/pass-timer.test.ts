import { expect, test } from 'vitest'
import { IoStats } from './io-stats.ts'
import { PassTimer } from './pass-timer.ts'

test('latency: commands of one pass share two looks at the clock and count to the end of the pass', async () => {
  let nowMs = 100
  let looks = 0
  const timer = new PassTimer(() => {
    looks += 1
    return nowMs
  })
  const stats = new IoStats()
  const waiting = timer.begin()
  for (let command = 0; command < 10; command++) timer.end(stats, timer.begin())
  nowMs = 101
  await Promise.resolve()
  expect(stats.latencySumUs).toBe(10_000)
  expect(looks).toBe(2)

  nowMs = 150
  timer.end(stats, waiting)
  await Promise.resolve()
  expect(stats.latencySumUs).toBe(60_000)
})

test('latency: more commands than a pass holds are all counted', async () => {
  const timer = new PassTimer(() => 0)
  const stats = new IoStats()
  for (let command = 0; command < 1000; command++) timer.end(stats, timer.begin())
  await Promise.resolve()
  expect(stats.latency[0]).toBe(1000)
})
