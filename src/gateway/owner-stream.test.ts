import { expect, test } from 'vitest'
import { RESULTS_PER_STREAM_MAX } from './limits.ts'
import { OwnerStream } from './owner-stream.ts'

const stream = () => new OwnerStream('nbd' as never, 1, 2, true)
const FAILED = 3

test('results: of the last so many operations each is told, and of what came before that it is unknown', async () => {
  const { begin, ended, outcomes } = bound(stream())
  const last = RESULTS_PER_STREAM_MAX + 10
  for (let sequence = 1; sequence <= last; sequence++) {
    begin(sequence)
    ended(sequence, sequence % 2 === 0 ? FAILED : 0, sequence * 4096)
  }
  const told = await outcomes(Array.from({ length: last + 1 }, (_, at) => at + 1))
  expect(told.slice(0, 10)).toEqual(Array(10).fill('unknown'))
  for (let sequence = 11; sequence <= last; sequence++)
    expect(told[sequence - 1]).toEqual([sequence % 2 === 0 ? FAILED : 0, sequence * 4096])
  expect(told.at(-1)).toBe(null)
})

test('results: room is made without losing one that is under way', async () => {
  const { begin, ended, outcomes } = bound(stream())
  begin(5)
  for (let sequence = 6; sequence <= 200; sequence++) {
    begin(sequence)
    ended(sequence, 0, 0)
  }
  let told: unknown = null
  const asked = outcomes([5, 6]).then(answer => {
    told = answer
  })
  await Promise.resolve()
  expect(told).toBe(null)
  ended(5, FAILED, 8192)
  await asked
  expect(told).toEqual([
    [FAILED, 8192],
    [0, 0],
  ])
})

function bound(of: OwnerStream) {
  return {
    begin: of.begin.bind(of),
    ended: of.ended.bind(of),
    outcomes: of.outcomes.bind(of),
  }
}
