import { expect, test } from 'vitest'
import { RejoinDamping } from '../../../src/replication/owner/rejoin-damping.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

const MINUTES = 60_000

test('damping: the first return is not kept waiting, each further one twice as long, up to ten minutes', () => {
  const timers = new ManualTimers()
  const damping = new RejoinDamping(timers)
  expect(damping.notBeforeMs(2)).toBe(0)
  const restsMs = Array.from({ length: 9 }, () => {
    timers.pass(1000)
    damping.ejected(2)
    damping.joined(2)
    return Math.max(0, damping.notBeforeMs(2) - timers.bootMs())
  })
  expect(restsMs.map(ms => ms / 1000)).toEqual([0, 10, 20, 40, 80, 160, 320, 600, 600])
  expect(damping.notBeforeMs(3)).toBe(0)
})

test('damping: ten calm minutes are forgiven', () => {
  const timers = new ManualTimers()
  const damping = new RejoinDamping(timers)
  for (let times = 0; times < 5; times++) {
    damping.ejected(2)
    damping.joined(2)
  }
  timers.pass(10 * MINUTES + 1)
  damping.ejected(2)
  expect(damping.notBeforeMs(2)).toBe(0)
})

test('damping: one death counts once, of however many volumes', () => {
  const timers = new ManualTimers()
  const damping = new RejoinDamping(timers)
  const dies = () => {
    for (let volume = 0; volume < 1000; volume++) {
      timers.pass(3)
      damping.ejected(2)
    }
  }
  dies()
  expect(damping.notBeforeMs(2)).toBe(0)
  for (let volume = 0; volume < 1000; volume++) damping.joined(2)
  const secondMs = timers.bootMs() + 3
  dies()
  expect(damping.notBeforeMs(2)).toBe(secondMs + 10_000)
})
