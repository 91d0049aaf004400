import { expect, test } from 'vitest'
import type { ScrubProgress } from '../store/brick.ts'
import { LocalBricks } from './local-bricks.ts'

const counters = {
  checksumErrors: 1,
  flushes: 0,
  fdatasyncs: 0,
  readsInline: 0,
  readsWaited: 0,
  writesInline: 0,
  writesWaited: 0,
}

function brick() {
  return {
    capacity: { limitBytes: 100, usedBytes: 10, warnAtBytes: 85, dirtyBytes: 1, dirtyCapBytes: 5 },
    counters,
    failure: null as Error | null,
    state: 'warm' as const,
    scrub: null as ScrubProgress | null,
    started: [] as unknown[],
    startScrub(options: unknown) {
      this.started.push(options)
      const counts = { checkedBytes: 10, totalBytes: 20, badBlocks: 1, settledBlocks: 0 }
      this.scrub = { ...counts, startedAtMs: 5, endedAtMs: null }
    },
    async stopScrub() {
      this.scrub = this.scrub === null ? null : { ...this.scrub, endedAtMs: 9 }
    },
  }
}

test('bricks: a scrub reads all of them, with the bandwidth of one, and has ended when each has', async () => {
  const [a, b] = [brick(), brick()]
  const bricks = new LocalBricks([a, b])
  expect(bricks.scrub).toBeNull()
  bricks.startScrub({ bytesPerSecond: 1000 })
  expect([a.started, b.started]).toEqual([[{ bytesPerSecond: 500 }], [{ bytesPerSecond: 500 }]])
  await a.stopScrub()
  expect(bricks.scrub).toMatchObject({ checkedBytes: 20, totalBytes: 40, badBlocks: 2, endedAtMs: null })
  await bricks.stopScrub()
  expect(bricks.scrub).toMatchObject({ startedAtMs: 5, endedAtMs: 9 })
})

test('bricks: what one has is added up, and the daemon serves while one is left', () => {
  const [a, b] = [brick(), brick()]
  const bricks = new LocalBricks([a, b])
  expect(bricks.capacity).toMatchObject({ limitBytes: 200, usedBytes: 20, warnAtBytes: 170 })
  expect(bricks.counters.checksumErrors).toBe(2)
  b.failure = new Error('EIO')
  expect([bricks.failure?.message, bricks.isServing]).toEqual(['EIO', true])
  a.failure = new Error('EIO')
  expect(bricks.isServing).toBe(false)
})
