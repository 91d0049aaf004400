import { expect, test } from 'vitest'
import { RECENT_OPERATIONS } from '../replica/recent-operations.ts'
import { CommitWindow } from './commit-window.ts'

test('window: the watermark stands below the oldest operation that has not ended', () => {
  const window = new CommitWindow()
  const [first, second, third] = [window.next(), window.next(), window.next()]
  window.end(second!)
  window.end(third!)
  expect(window.watermark).toBe(0)
  window.end(first!)
  expect(window.watermark).toBe(third)
})

test('window: no operation begins further above the watermark than replicas remember', () => {
  const window = new CommitWindow()
  let begun = 0
  while (window.next() > 0) begun++
  expect(begun).toBe(RECENT_OPERATIONS - 1)
  window.end(1)
  expect(window.next()).toBe(begun + 1)
  expect(window.next()).toBe(0)
})
