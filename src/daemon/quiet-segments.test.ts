import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import { QuietSegments } from './quiet-segments.ts'

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }))
afterEach(() => void vi.useRealTimers())

test('above the target an eighth is cleared of what has been quiet for seconds, once at a time', async () => {
  const cleared: unknown[][] = []
  let end = () => {}
  const clearQuiet = (...asked: unknown[]) => {
    cleared.push(asked)
    return new Promise<number>(resolve => {
      end = () => resolve(0)
    })
  }
  const log = { warn: () => {} } as never
  using quiet = new QuietSegments(
    () => [{ name: 'v', segments: { clearQuiet } } as unknown as OwnedVolume],
    log,
  )
  quiet.aboveTarget(4001)
  quiet.aboveTarget(4002)
  expect(cleared).toEqual([[995_000, 501]])
  end()
  await vi.advanceTimersByTimeAsync(0)
  quiet.aboveTarget(2400)
  expect(cleared).toEqual([
    [995_000, 501],
    [995_000, 300],
  ])
})
