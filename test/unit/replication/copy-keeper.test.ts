import { expect, test } from 'vitest'
import { CopyKeeper } from '../../../src/replication/resync/copy-keeper.ts'
import { freeLeftovers } from '../../../src/replication/resync/leftovers.ts'
import type { OutMember, WantedChange } from '../../../src/replication/resync/resync-ports.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'
import { FakeBrick } from './fake-bricks.ts'
import { FakeOwner } from './fake-owner.ts'

const REGIONS_PER_RANGE = 16384
const OUT: OutMember = { peerNumber: 3, since: 5, ranges: [0], answers: true, awayMs: 0, notBeforeMs: 0 }

function aKeeper() {
  const bricks = [1, 2, 3].map(number => new FakeBrick(number))
  const owner = new FakeOwner(bricks, bricks.slice(0, 2))
  const timers = new ManualTimers()
  const events: string[] = []
  const wanted: WantedChange[] = []
  const full = new Set<number>()
  const keeper = new CopyKeeper({
    owner,
    volume: 'disk',
    planner: { wanted: () => wanted, substitute: () => null, isFull: peer => full.has(peer) },
    recreateAfterMs: 600_000,
    timers,
    budget: { take: () => Promise.resolve() },
    tellEvent: (kind, _subject, message) => events.push(`${kind}: ${message}`),
    peerName: peer => `p${peer}`,
  })
  return { bricks, owner, timers, events, wanted, full, keeper }
}

const settled = () => new Promise(resolve => setTimeout(resolve, 20))

test('keeper: a brick that answers is brought back at once, and there is nothing to do then', async () => {
  const { owner, keeper, events } = aKeeper()
  owner.outs = [OUT]
  keeper.look()
  await settled()
  expect(owner.changes).toEqual([{ ranges: [0], joins: 3, leaves: null }])
  expect(events).toEqual([expect.stringMatching(/^copy.done: resync onto peer p3, 1 range is done/)])
  expect(keeper.progress).toBeNull()
})

test('keeper: a joiner that dies rests, longer each time, and comes back in the end', async () => {
  const { owner, bricks, keeper, timers, events } = aKeeper()
  owner.outs = [OUT]
  let failures = 3
  bricks[2]!.turn = async () => {
    if (failures-- > 0) throw new Error('the link is gone')
  }
  keeper.look()
  for (const ms of [1000, 2000, 4000]) {
    await settled()
    const before = events.length
    timers.pass(ms - 1)
    keeper.look()
    await settled()
    expect(events).toHaveLength(before)
    timers.pass(1)
    keeper.look()
    await settled()
  }
  expect(events.map(event => event.split(':')[0])).toEqual([
    'copy.ended',
    'copy.ended',
    'copy.ended',
    'copy.done',
  ])
  expect(owner.inSync).toHaveLength(3)
})

test('keeper: who connects again does not rest', async () => {
  const { owner, bricks, keeper } = aKeeper()
  owner.outs = [OUT]
  let away = true
  bricks[2]!.turn = async () => {
    if (away) throw new Error('the link is gone')
  }
  keeper.look()
  await settled()
  away = false
  keeper.connected(3)
  await settled()
  expect(owner.inSync).toHaveLength(3)
})

test('keeper: after a move the one that left gives its slots back, by the placement that holds then', async () => {
  const { owner, bricks, keeper, wanted } = aKeeper()
  for (const brick of bricks.slice(0, 2)) brick.put(5, 55, 3)
  wanted.push({ range: 0, joins: 3, leaves: 2 })
  owner.placed = (peer, _range) => owner.inSync.some(({ peerNumber }) => peerNumber === peer)
  const { change } = owner
  owner.change = order => {
    wanted.length = 0
    return change.call(owner, order)
  }
  keeper.look()
  await settled()
  expect(owner.changes).toEqual([{ ranges: [0], joins: 3, leaves: 2 }])
  expect([bricks[0]!.freed, bricks[1]!.freed, bricks[2]!.freed]).toEqual([[], [0], []])
})

test('keeper: what a broken move has brought over is kept for the next one, and freed when there is to be none', async () => {
  const { owner, bricks, keeper, wanted, timers } = aKeeper()
  for (const brick of bricks.slice(0, 2)) for (const region of [0, 9]) brick.put(region * 64, 55, 3)
  wanted.push({ range: 0, joins: 3, leaves: 2 })
  owner.placed = peer => owner.inSync.some(({ peerNumber }) => peerNumber === peer)
  owner.answerToChange = false
  keeper.look()
  await settled()
  expect([owner.changes.length, bricks[2]!.copiedBlocks, bricks[2]!.freed]).toEqual([1, 2, []])
  timers.pass(500)
  keeper.look()
  await settled()
  expect(bricks[2]!.freed).toEqual([])
  wanted.length = 0
  keeper.look()
  await settled()
  expect([owner.changes.length, bricks[2]!.freed]).toEqual([1, [0]])
})

test('keeper: a brick that becomes too full gets no more, gives back what it got, and rests for ten minutes', async () => {
  const { owner, bricks, keeper, wanted, full, timers, events } = aKeeper()
  bricks[0]!.put(0, 55, 3)
  wanted.push({ range: 0, joins: 3, leaves: 2 })
  owner.placed = peer => owner.inSync.some(({ peerNumber }) => peerNumber === peer)
  bricks[2]!.turn = async () => {
    if (bricks[2]!.stamps.size === 0) bricks[2]!.stamps.set(77, 1)
    full.add(3)
  }
  keeper.look()
  await settled()
  expect(events).toEqual([expect.stringMatching(/nearly full$/)])
  expect(bricks[2]!.freed).toEqual([0])
  full.clear()
  bricks[2]!.turn = () => Promise.resolve()
  timers.pass(599_999)
  keeper.look()
  await settled()
  expect(owner.changes).toEqual([])
  timers.pass(1)
  keeper.look()
  await settled()
  expect(owner.changes).toEqual([{ ranges: [0], joins: 3, leaves: 2 }])
})

test('keeper: a change that is refused is not asked for again at once', async () => {
  const { owner, keeper, wanted } = aKeeper()
  wanted.push({ range: 0, joins: null, leaves: 2 })
  owner.answerToChange = false
  keeper.look()
  await settled()
  expect(owner.changes).toEqual([{ ranges: [0], joins: null, leaves: 2 }])
})

test('keeper: a stopped one orders nothing more, and says nothing of what it broke off', async () => {
  const { owner, bricks, keeper, events } = aKeeper()
  owner.outs = [OUT]
  let goOn: () => void = () => undefined
  bricks[2]!.turn = () =>
    new Promise(resolve => {
      goOn = resolve
    })
  keeper.look()
  const stopped = keeper.stop('the epoch is over')
  goOn()
  await stopped
  keeper.look()
  await settled()
  expect([owner.changes, events, owner.gates.size]).toEqual([[], [], 0])
})

test('leftovers: exactly the ranges that hold something and are not placed there are freed, one by one', async () => {
  const brick = new FakeBrick(2)
  for (const range of [0, 3, 4, 700]) brick.stamps.set(range * REGIONS_PER_RANGE + 9, 1)
  const asked = (what: string) => brick.calls.filter(call => call === what).length
  const freed = await freeLeftovers(brick, 1000, range => range === 3)
  expect(freed).toEqual([0, 4, 700])
  expect(brick.freed).toEqual([0, 4, 700])
  expect(asked('freeRanges')).toBe(3)
  expect(asked('regionsSince')).toBeLessThan(8)
  expect(await freeLeftovers(brick, 1000, range => range === 3)).toEqual([])
})

test("leftovers: ranges that the volume is just growing by are nobody's to free", async () => {
  const { owner, bricks, keeper } = aKeeper()
  owner.sizeBytes = 3 * 4 * 1024 ** 3
  owner.placed = (_peer, range) => range < owner.ranges
  bricks[1]!.stamps.set(2 * REGIONS_PER_RANGE, 7)
  keeper.sweep([2])
  await settled()
  expect(bricks[1]!.freed).toEqual([])
})
