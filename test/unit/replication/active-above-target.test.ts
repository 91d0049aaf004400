import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { GrantKeeper } from '../../../src/replication/owner/grant-keeper.ts'
import type { Orders } from '../../../src/replication/owner/orders.ts'
import type { Ownership } from '../../../src/replication/owner/ownership.ts'
import type { PeerIdentity } from '../../../src/replication/peer-network.ts'
import { Replica } from '../../../src/replication/replica/replica.ts'
import type { ReplicaStore } from '../../../src/replication/replica-store.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

test('owners hear with their grants of a brick with more active segments than it wants, and how many', async () => {
  const timers = new ManualTimers()
  let active = 0
  const store = { volume: () => null, activeBeyondTarget: () => active } as unknown as ReplicaStore
  const replica = new Replica({} as PeerIdentity, store, timers, () => {})
  const orders = {
    ask: (_peer: number, _terms: object, order: never) => replica.order('', 0, 0, order),
  } as unknown as Orders
  const owned = {
    fencedMembers: [{ peerNumber: 2, reachable: true }],
    ended: false,
    uuid: 'v',
    epoch: 1,
    extents: { refreshGrants: () => {} },
  } as unknown as Ownership
  const told: number[] = []
  const keeper = new GrantKeeper(
    orders,
    timers,
    () => [owned],
    active => told.push(active),
  )
  const renewed = async () => {
    timers.pass(500)
    await new Promise(resolve => setImmediate(resolve))
  }
  await renewed()
  expect(told).toEqual([])
  active = 2100
  await renewed()
  expect(told).toEqual([2100])
  const { status, body } = await replica.order('', 0, 0, { what: 'renew', volumes: [] })
  expect([status, body]).toEqual([BlockStatus.ok, { refused: [], activeSegments: 2100 }])
  keeper.stop()
})
