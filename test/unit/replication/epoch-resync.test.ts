import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { EpochResync } from '../../../src/replication/owner/epoch-resync.ts'
import type { Ownership } from '../../../src/replication/owner/ownership.ts'
import type { BrickNames } from '../../../src/replication/owner/sets.ts'
import type { PeerStatus } from '../../../src/replication/peer-network.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

const GIB = 1024 ** 3
const NAMES: BrickNames = {
  peerOf: uuid => Number(uuid.at(-1)),
  brickOf: peer => `brick-${peer}`,
}

/** A volume of three ranges on the peers 1 to 3; the owner is peer 1. */
function anOwner() {
  const served = new Set([0, 1, 2])
  const timers = new ManualTimers()
  const store: { failure: Error | null } = { failure: null }
  const answer = { status: BlockStatus.ioError as PeerStatus, body: { epoch: 0, setVersion: 0 } }
  const outs = [{ uuid: 'brick-3', since: 5, inSync: '04' }]
  const ownership = {
    head: { sizeBytes: 12 * GIB, out: outs },
    extents: { everybody: [] },
    fenced: () => ({}),
    port: () => ({}),
    sets: {
      placement: [
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
      ],
      isServed: (range: number) => served.has(range),
    },
    node: {
      timers,
      orders: { ask: async () => answer },
      network: { self: { peerNumber: 1, brickUuid: 'brick-1' } },
      store,
      links: { downForMs: () => 0, to: () => ({ isUp: true, identity: { brickUuid: 'brick-3' } }) },
      damping: { notBeforeMs: () => 0 },
    },
  }
  return {
    served,
    timers,
    outs,
    store,
    answer,
    resync: new EpochResync(ownership as unknown as Ownership, NAMES),
  }
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

test('out: a peer whose brick has failed counts as away, though it answers, until the brick is well', async () => {
  const { timers, answer, resync } = anOwner()
  const awayMs = () => resync.outMembers()[0]!.awayMs
  await expect(resync.fence(3)).rejects.toThrow('answered the fence')
  timers.pass(300_000)
  await expect(resync.fence(3)).rejects.toThrow('answered the fence')
  timers.pass(300_000)
  expect([awayMs(), resync.outMembers()[0]!.answers]).toEqual([600_000, true])
  answer.status = BlockStatus.ok
  await resync.fence(3)
  expect(awayMs()).toBe(0)
})

test('out: so does the owner itself, whose brick has failed', () => {
  const { timers, outs, store, resync } = anOwner()
  outs[0]!.uuid = 'brick-1'
  store.failure = new Error('a failed fsync')
  expect(resync.outMembers()).toMatchObject([{ peerNumber: 1, answers: false, awayMs: 0 }])
  timers.pass(600_000)
  expect(resync.outMembers()).toMatchObject([{ peerNumber: 1, awayMs: 600_000 }])
})
