import { expect, test } from 'vitest'
import { Capacity } from '../../../src/store/capacity.ts'

const LIMIT_BYTES = 256 * 2 ** 20

test('capacity: who watches is told when usage has moved by a part of the limit, either way', () => {
  const capacity = new Capacity({
    limitBytes: LIMIT_BYTES,
    dirtyCapBytes: 0,
    dirtyBytes: () => 0,
    warn: () => {},
  })
  const seen: number[] = []
  const stop = capacity.watch(() => seen.push(capacity.usedBytes / 2 ** 20))
  for (let region = 0; region < 6; region++) capacity.reserve(1)
  expect(seen).toEqual([1])
  capacity.release(3)
  expect(seen).toEqual([1, 0.75])
  stop()
  capacity.reserve(1000)
  expect(seen).toHaveLength(2)
})
