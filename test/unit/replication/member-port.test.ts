import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { Member } from '../../../src/replication/owner/member.ts'
import { EpochMemberPort } from '../../../src/replication/owner/member-port.ts'
import type { Orders } from '../../../src/replication/owner/orders.ts'
import { type PeerRequest, PeerStatus } from '../../../src/replication/peer-network.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

/** A peer behind a link that keeps what it is sent. */
function aPeer() {
  const timers = new ManualTimers()
  const sent: PeerRequest[] = []
  const answer = (status: PeerStatus) => {
    for (const request of sent.splice(0)) {
      request.status = status
      request.completion.replied(request)
    }
  }
  let resets = 0
  const link = {
    send: (request: PeerRequest) => sent.push(request),
    reset: () => {
      resets++
      answer(PeerStatus.lost)
    },
  }
  const member = { peerNumber: 3, local: null, link, changes: 1, flushed: () => {} } as unknown as Member
  const terms = { volumeUuid: 'v', epoch: 1, setVersion: 1, ended: false }
  const port = new EpochMemberPort(member, {} as Orders, terms, timers)
  return { timers, port, answer, resets: () => resets }
}

test('copy: a peer whose disk hangs is cut off, so that nobody waits for the blocks that are held', async () => {
  const { timers, port, resets } = aPeer()
  const copied = port.copyIn(0, 4096, Buffer.alloc(4096), 0, 1)
  const failed = expect(copied).rejects.toThrow('peer 3 answered copy')
  timers.pass(9_999)
  expect(resets()).toBe(0)
  timers.pass(1)
  expect(resets()).toBe(1)
  await failed
})

test('copy: what was answered in time cuts nobody off, nor does a flush that takes long', async () => {
  const { timers, port, answer, resets } = aPeer()
  const read = port.read(0, 4096, Buffer.alloc(4096), 0)
  timers.pass(9_000)
  answer(BlockStatus.ok)
  expect((await read).status).toBe(BlockStatus.ok)
  const flushed = port.flush()
  timers.pass(60_000)
  answer(BlockStatus.ok)
  await flushed
  expect(resets()).toBe(0)
})
