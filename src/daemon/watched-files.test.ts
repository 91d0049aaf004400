import { expect, test } from 'vitest'
import { realFiles } from '../store/files/store-files.ts'
import { DiskWatch } from './watched-files.ts'

test('disk: the oldest operation that has not ended counts, whatever ended meanwhile', async () => {
  let nowMs = 100
  const ends: ((result: number) => void)[] = []
  const watch = new DiskWatch(() => nowMs)
  const files = watch.files({
    ...realFiles,
    startThread: () => ({ run: () => new Promise(resolve => ends.push(resolve)), close: async () => {} }),
  })
  const thread = files.startThread()
  expect(watch.oldestMs).toBe(0)
  const first = thread.run({})
  nowMs = 400
  const second = thread.run({})
  nowMs = 900
  expect(watch.oldestMs).toBe(800)
  ends[1]!(0)
  await second
  expect(watch.oldestMs).toBe(800)
  ends[0]!(-5)
  expect(await first).toBe(-5)
  expect(watch.oldestMs).toBe(0)
})
