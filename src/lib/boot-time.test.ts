import { uptime } from 'node:os'
import { expect, test } from 'vitest'
import { bootTimeMs } from './system-calls.ts'

test('boot time: the time since the machine started, in milliseconds, and it never falls', () => {
  expect(Math.abs(bootTimeMs() - uptime() * 1000)).toBeLessThan(1000)
  let last = 0
  for (let i = 0; i < 1000; i++) {
    const now = bootTimeMs()
    expect(now).toBeGreaterThanOrEqual(last)
    last = now
  }
})
