import { expect, test } from 'vitest'
import { BlockRepairs } from '../../../src/replication/owner/block-repairs.ts'
import type { Member } from '../../../src/replication/owner/member.ts'
import type { EpochMemberPort } from '../../../src/replication/owner/member-port.ts'
import { OperationQueue } from '../../../src/volume/operation-queue.ts'
import { BLOCK, FakeBrick } from './fake-bricks.ts'

class RepairedBrick extends FakeBrick {
  whileRead: () => void = () => {}

  override async read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number) {
    const answer = await super.read(offsetBytes, lengthBytes, into, at)
    this.whileRead()
    return answer
  }

  async repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number) {
    this.bad.delete(offsetBytes / BLOCK)
    return this.copyIn(offsetBytes, lengthBytes, from, at, 0)
  }
}

const settled = () => new Promise(resolve => setTimeout(resolve, 10))

function aRepair() {
  const bricks = [1, 2, 3].map(peer => new RepairedBrick(peer))
  for (const brick of bricks) brick.put(4, 7, 1)
  let members = bricks
  const served = new Set([0])
  const repairs = new BlockRepairs({
    queue: new OperationQueue(),
    members: () => members as unknown as EpochMemberPort[],
    isServed: range => served.has(range),
    port: ({ peerNumber }) => bricks[peerNumber - 1] as unknown as EpochMemberPort,
    repaired: () => {},
  })
  bricks[0]!.bad.add(4)
  return {
    bricks,
    served,
    repair: () => repairs.ask({ peerNumber: 1 } as Member, 4 * BLOCK),
    leaves: (peer: number) => {
      members = members.filter(({ peerNumber }) => peerNumber !== peer)
    },
  }
}

test('block repairs: a bad block gets what another member has', async () => {
  const { bricks, repair } = aRepair()
  repair()
  await settled()
  expect([bricks[0]!.valueOf(4), bricks[0]!.bad.size]).toEqual([7, 0])
})

test('block repairs: what one says that is a member no more is not believed', async () => {
  const { bricks, repair, leaves } = aRepair()
  // As a brick answers that was freed.
  bricks[1]!.put(4, 0, 1)
  bricks[1]!.whileRead = () => leaves(2)
  repair()
  await settled()
  expect([bricks[0]!.valueOf(4), bricks[0]!.bad.size]).toEqual([7, 0])
})

test('block repairs: in a range that is not served yet nobody is believed', async () => {
  const { bricks, served, repair } = aRepair()
  served.clear()
  // As a cold brick answers, whose write went with the power.
  bricks[1]!.put(4, 3, 1)
  repair()
  await settled()
  expect([bricks[0]!.bad.size, bricks[0]!.copiedBlocks]).toEqual([1, 0])
})
