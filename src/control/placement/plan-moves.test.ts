import { describe, expect, test } from 'vitest'
import { choosePeers } from './choose-peers.ts'
import { domainsOf, type PlaceablePeer, takingPeers } from './peers.ts'
import { type MovePlan, type PlacedVolume, planMoves } from './plan-moves.ts'

const UUID = '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11'

function peer(number: number, more: { host?: string; draining?: boolean } = {}): PlaceablePeer {
  const { host, draining = false } = more
  const labels: Record<string, string> = host === undefined ? {} : { host }
  return { id: `p${number}`, value: { number, addresses: [], labels, capacityBytes: 2 ** 40, draining } }
}

function placed(peers: readonly PlaceablePeer[], ranges: number, replicas: number): PlacedVolume {
  return {
    name: 'v',
    uuid: UUID,
    replicas,
    ranges: Array.from({ length: ranges }, (_, range) =>
      choosePeers(UUID, range, replicas, takingPeers(peers)).map(({ value }) => value.number),
    ),
  }
}

function carriedOut(volume: PlacedVolume, { moves }: MovePlan): PlacedVolume {
  const ranges = volume.ranges.map(numbers => [...numbers])
  for (const { range, from, to } of moves) {
    ranges[range] = [...ranges[range]!.filter(number => number !== from), ...(to === null ? [] : [to])]
  }
  return { ...volume, ranges }
}

/** Plans and carries out until nothing is left; more rounds than a range has peers would be a cycle. */
function settle(peers: readonly PlaceablePeer[], volume: PlacedVolume) {
  let now = volume
  let moved = 0
  for (let round = 0; round < 8; round++) {
    const plan = planMoves(peers, [now])
    if (plan.balanced) return { volume: now, moved }
    expect(new Set(plan.moves.map(({ range }) => range)).size).toBe(plan.moves.length)
    moved += plan.moves.length
    now = carriedOut(now, plan)
  }
  throw new Error('the plan never ends')
}

describe('plan', () => {
  const three = [peer(1), peer(2), peer(3)]

  test('what was placed by the same peers is balanced', () => {
    expect(planMoves(three, [placed(three, 64, 2)])).toEqual({ moves: [], balanced: true })
    expect(planMoves([], [])).toEqual({ moves: [], balanced: true })
  })

  test('drain: every range leaves the peer, for a host that has none of it yet', () => {
    const four = [...three, peer(4)]
    const draining = [peer(1, { draining: true }), peer(2), peer(3), peer(4)]
    const { volume } = settle(draining, placed(four, 64, 3))
    expect(volume.ranges.flat()).not.toContain(1)
    expect(volume.ranges.every(numbers => new Set(numbers).size === 3)).toBe(true)
  })

  test('drain: a range stays where it is when no other host is left for it', () => {
    const draining = [peer(1, { draining: true }), peer(2), peer(3)]
    expect(planMoves(draining, [placed(three, 4, 3)]).moves).toEqual([])
  })

  test('repair: what a removed peer had goes elsewhere, before anything else', () => {
    const four = [...three, peer(4)]
    const left = [peer(2), peer(3), peer(4, { draining: true })]
    const plan = planMoves(left, [placed(four, 32, 2)])
    expect(plan.moves[0]?.why).toBe('repair')
    const kinds = plan.moves.map(({ why }) => why)
    expect(kinds.lastIndexOf('repair')).toBeLessThan(kinds.indexOf('drain'))
    expect(settle(left, placed(four, 32, 2)).volume.ranges.flat()).not.toContain(1)
  })

  test('repair: of two peers that are gone one is replaced after the other', () => {
    const five = [1, 2, 3, 4, 5].map(number => peer(number))
    const { volume } = settle(five.slice(2), placed(five, 32, 3))
    expect(new Set(volume.ranges.flat())).toEqual(new Set([3, 4, 5]))
  })

  test('replicas: more are added and fewer taken away, one at a time per range', () => {
    const one = placed(three, 8, 1)
    const more = settle(three, { ...one, replicas: 3 }).volume
    expect(more.ranges.every(numbers => new Set(numbers).size === 3)).toBe(true)
    const fewer = settle(three, { ...more, replicas: 2 }).volume
    expect(fewer.ranges.every(numbers => numbers.length === 2)).toBe(true)
  })

  test('apart: two replicas on one host part as soon as there is another one', () => {
    const peers = [peer(1, { host: 'a' }), peer(2, { host: 'a' }), peer(3, { host: 'b' })]
    const volume: PlacedVolume = { name: 'v', uuid: UUID, replicas: 2, ranges: [[1, 2]] }
    const [ended] = settle(peers, volume).volume.ranges
    const hosts = ended!.map(number => domainsOf(peers[number - 1]!).host)
    expect(new Set(hosts).size).toBe(2)
  })

  test('balance: a new peer gets its share, and no more is moved than that', () => {
    const four = [...three, peer(4)]
    const { volume, moved } = settle(four, placed(three, 400, 2))
    const share = volume.ranges.filter(numbers => numbers.includes(4)).length
    expect(share).toBe(moved)
    expect(share).toBeGreaterThan(120)
    expect(share).toBeLessThanOrEqual(200)
  })
})
