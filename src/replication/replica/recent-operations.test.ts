import { expect, test } from 'vitest'
import { BlockKind } from '../../block/block-operation.ts'
import { fateOf } from '../operation-log.ts'
import { RECENT_OPERATIONS, RecentOperations } from './recent-operations.ts'

const EPOCH = 7
const STREAM = 3

/** Writes of consecutive blocks, numbered from 1 on. */
function noted(recent: RecentOperations, count: number, epoch = EPOCH): RecentOperations {
  for (let n = 1; n <= count; n++) recent.note(epoch, n, BlockKind.write, n * 4096, 4096, STREAM, n)
  return recent
}

const operation = (sequence: number) => ({
  stream: STREAM,
  sequence,
  offsetBytes: sequence * 4096,
  lengthBytes: 4096,
})

test.each([1, 16, 17, 500, RECENT_OPERATIONS, RECENT_OPERATIONS + 100])(
  'above: after %i operations it tells the newest of them, in their order',
  count => {
    const recent = noted(new RecentOperations(), count)
    const watermark = Math.max(0, count - 20)
    const told = recent.above(EPOCH, watermark).map(({ offsetBytes }) => offsetBytes / 4096)
    expect(told).toEqual(Array.from({ length: count - watermark }, (_, at) => watermark + at + 1))
  },
)

test('log: the newest operations are found, of older ones nothing is known, and later ones never came', () => {
  const log = noted(new RecentOperations(), RECENT_OPERATIONS + 2).log(EPOCH, true)
  expect(fateOf(operation(RECENT_OPERATIONS), [[log]])).toBe('carriedOut')
  expect(fateOf(operation(3), [[log]])).toBe('carriedOut')
  expect(fateOf(operation(2), [[log]])).toBe('unknown')
  expect(fateOf(operation(RECENT_OPERATIONS + 3), [[log]])).toBe('absent')
})

test('note: the first operation of an epoch ends what was known of the one before', () => {
  const recent = noted(new RecentOperations(), RECENT_OPERATIONS + 2)
  expect(recent.above(EPOCH + 1, 0)).toEqual([])
  noted(recent, 2, EPOCH + 1)
  expect(recent.above(EPOCH, 0)).toEqual([])
  expect(recent.above(EPOCH + 1, 0)).toHaveLength(2)
  expect(recent.log(EPOCH + 1, true).forgotten).toEqual([])
})
