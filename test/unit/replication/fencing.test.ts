import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { VolumeHead } from '../../../src/control/layout.ts'
import type { FenceAnswer } from '../../../src/replication/messages.ts'
import { Fencing } from '../../../src/replication/owner/fencing.ts'
import { Member } from '../../../src/replication/owner/member.ts'
import type { OwnerNode } from '../../../src/replication/owner/node.ts'
import { type PeerLink, PeerStatus } from '../../../src/replication/peer-network.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

const HEAD = { epoch: 9, setVersion: 20, generation: 5, sizeBytes: 4096 } as VolumeHead
const ANSWER: FenceAnswer = {
  state: 'cold',
  epoch: 8,
  setVersion: 20,
  continuous: false,
  operations: [],
  activeSegments: [0],
  suspectSegments: [0],
  log: { complete: true, operations: '', forgotten: [] },
}

/** Peer 2, which answers fences by what the test says last. */
function aFencing() {
  const timers = new ManualTimers()
  const facts = { status: BlockStatus.ok as PeerStatus, answer: ANSWER, asked: 0, isMember: true, ahead: '' }
  const ask = async () => {
    facts.asked++
    return { status: facts.status, body: facts.status === BlockStatus.ok ? facts.answer : null }
  }
  const identity = { incarnation: 'i', brickUuid: 'b2' }
  const member = new Member(2, 'b2', { isUp: true, identity } as PeerLink, null)
  const fencing = new Fencing({
    node: { timers, orders: { ask }, network: { self: identity } } as unknown as OwnerNode,
    volumeUuid: 'v',
    head: () => HEAD,
    ended: () => false,
    opening: () => true,
    superseded: () => {},
    ahead: error => {
      facts.ahead = error.message
    },
    changed: () => {},
    isMember: () => facts.isMember,
  })
  const later = async () => {
    timers.pass(1_000)
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }
  return { fencing, member, facts, later }
}

test('fence: a brick that failed is asked again while it is a member, and taken when it was opened anew', async () => {
  const { fencing, member, facts, later } = aFencing()
  facts.status = BlockStatus.ioError
  void fencing.fence(member)
  await later()
  expect([fencing.state(2), fencing.isEmpty(2), member.fenced]).toEqual(['failed', false, false])
  facts.status = BlockStatus.ok
  await later()
  expect([fencing.state(2), member.fenced]).toEqual(['cold', true])
})

test('fence: one that has left is not asked again', async () => {
  const { fencing, member, facts, later } = aFencing()
  facts.status = PeerStatus.unknownVolume
  const ended = fencing.fence(member)
  await later()
  expect([fencing.state(2), fencing.isEmpty(2)]).toEqual(['failed', true])
  facts.isMember = false
  await later()
  await ended
  expect([facts.asked, fencing.state(2)]).toEqual([1, 'failed'])
})

test('fence: one whose ranges were not served while the sets of others changed again and again is no stranger', async () => {
  const { fencing, member, facts } = aFencing()
  facts.answer = { ...ANSWER, state: 'warm', epoch: 6, setVersion: 11 }
  await fencing.fence(member)
  expect([fencing.state(2), member.setVersion]).toEqual(['warm', 20])
})

test('fence: one that is ahead of the metadata is not taken', async () => {
  const { fencing, member, facts, later } = aFencing()
  facts.answer = { ...ANSWER, setVersion: 21 }
  void fencing.fence(member)
  await later()
  facts.isMember = false
  expect([fencing.state(2), facts.ahead]).toEqual(['waiting', expect.stringContaining('set 21')])
})

test('fence: a cold one that was copied to is good, and suspect no more, in these ranges alone', async () => {
  const { fencing, member, facts } = aFencing()
  facts.answer = { ...ANSWER, suspectSegments: [5, 1024 + 5] }
  await fencing.fence(member)
  expect([fencing.isGood(2, 0), fencing.isGood(2, 1)]).toEqual([false, false])
  fencing.joined(2, [1])
  expect([fencing.isGood(2, 0), fencing.isGood(2, 1)]).toEqual([false, true])
  expect(fencing.answer(2)!.suspectSegments).toEqual([5])
})
