import { expect, test } from 'vitest'
import { inPasses } from './in-passes.ts'

async function partsOf(count: number, size: number): Promise<(readonly number[])[]> {
  const parts: (readonly number[])[] = []
  for await (const part of inPasses(Array(count).keys(), size)) parts.push(part)
  return parts
}

test('every item comes once, in parts of the size that was asked for and what is left', async () => {
  expect(await partsOf(7, 3)).toEqual([[0, 1, 2], [3, 4, 5], [6]])
  expect(await partsOf(6, 3)).toEqual([
    [0, 1, 2],
    [3, 4, 5],
  ])
  expect(await partsOf(0, 3)).toEqual([])
})

test('others have the event loop between two parts', async () => {
  let others = 0
  let ticking = setImmediate(function tick() {
    others++
    ticking = setImmediate(tick)
  })
  const seen: number[] = []
  for await (const _ of inPasses(Array(12).keys(), 4)) seen.push(others)
  clearImmediate(ticking)
  expect(new Set(seen).size).toBe(3)
})
