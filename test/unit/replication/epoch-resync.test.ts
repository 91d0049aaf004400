import { expect, test } from 'vitest'
import { EpochResync } from '../../../src/replication/owner/epoch-resync.ts'
import type { Ownership } from '../../../src/replication/owner/ownership.ts'
import type { BrickNames } from '../../../src/replication/owner/sets.ts'

const GIB = 1024 ** 3
const NAMES: BrickNames = {
  peerOf: uuid => Number(uuid.at(-1)),
  brickOf: peer => `brick-${peer}`,
}

/** A volume of three ranges on the peers 1 to 3; the owner is peer 1. */
function anOwner() {
  const served = new Set([0, 1, 2])
  const ownership = {
    head: { sizeBytes: 12 * GIB, out: [{ uuid: 'brick-3', since: 5, inSync: '04' }] },
    sets: { placement: [[1, 2, 3], [1, 2, 3], [1, 2, 3]], isServed: (range: number) => served.has(range) },
    node: {
      network: { self: { peerNumber: 1, brickUuid: 'brick-1' } },
      store: { failure: null },
      links: { downForMs: () => 0, to: () => ({ isUp: true, identity: { brickUuid: 'brick-3' } }) },
      damping: { notBeforeMs: () => 0 },
    },
  }
  return { served, resync: new EpochResync(ownership as unknown as Ownership, NAMES) }
}

test('out: who is out comes back to the ranges that are served, and to the others when they are', () => {
  const { served, resync } = anOwner()
  served.delete(0)
  expect(resync.outMembers()).toMatchObject([{ peerNumber: 3, since: 5, ranges: [1], answers: true }])
  served.delete(1)
  expect(resync.outMembers()).toEqual([])
  served.add(0).add(1)
  expect(resync.outMembers()).toMatchObject([{ peerNumber: 3, ranges: [0, 1] }])
})
