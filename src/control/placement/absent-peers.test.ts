import { expect, test } from 'vitest'
import { withoutAbsent } from './absent-peers.ts'
import type { PlaceablePeer } from './peers.ts'

const peers = ['a', 'b', 'c', 'd', 'e'].map(
  (id, at): PlaceablePeer => ({ id, value: { number: at + 1, addresses: [], labels: {} } }),
)
const planned = (away: Record<string, number>) =>
  withoutAbsent(peers, id => away[id] ?? 0, 600_000).map(({ id }) => id)

test('absent: a peer is given up after the grace time, not before', () => {
  expect(planned({ c: 600_000 })).toHaveLength(5)
  expect(planned({ c: 600_001 })).toEqual(['a', 'b', 'd', 'e'])
})

test('absent: nobody is given up while more than a quarter of the peers are away', () => {
  expect(planned({ c: 900_000, d: 1 })).toHaveLength(5)
})
