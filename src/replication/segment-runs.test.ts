import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FenceAnswer, fenceWithLists, fenceWithRuns } from './messages.ts'
import { runsOf, segmentsOf } from './segment-runs.ts'

test('segments are what their runs say, in order, each once', () => {
  const lists = fc.array(fc.integer({ min: 0, max: 60 }))
  fc.assert(
    fc.property(lists, list => {
      expect(segmentsOf(runsOf(list))).toEqual([...new Set(list)].sort((a, b) => a - b))
    }),
  )
})

test('a run is two numbers, however long', () => {
  expect(runsOf([])).toEqual([])
  expect(runsOf([0, 1, 2])).toEqual([0, 3])
  expect(runsOf(Array.from({ length: 1000 }, (_, i) => i + 5).concat(2000))).toEqual([5, 1000, 995, 1])
})

test('a fence says the same to who reads runs and to who reads lists', () => {
  const answer = { activeSegments: [3, 4, 5, 9], suspectSegments: [4] } as unknown as FenceAnswer
  expect(fenceWithRuns(answer)).toMatchObject({ activeSegments: [], activeRuns: [3, 3, 3, 1] })
  expect(fenceWithLists(fenceWithRuns(answer))).toEqual(answer)
  expect(fenceWithLists(answer)).toEqual(answer)
})
