import { describe, expect, test } from 'vitest'
import { choosePeers } from './choose-peers.ts'
import { domainsOf, type PlaceablePeer } from './peers.ts'

const VOLUME = '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11'
const RANGES = 3000

function peer(number: number, labels: Record<string, string> = {}, capacityBytes = 2 ** 40): PlaceablePeer {
  return { id: `p${number}`, value: { number, addresses: [], labels, capacityBytes } }
}

/** How many ranges each peer gets. */
function shares(peers: readonly PlaceablePeer[], replicas: number): Map<number, number> {
  const counts = new Map(peers.map(({ value }) => [value.number, 0]))
  for (let range = 0; range < RANGES; range++) {
    for (const { value } of choosePeers(VOLUME, range, replicas, peers)) {
      counts.set(value.number, counts.get(value.number)! + 1)
    }
  }
  return counts
}

describe('choosing peers', () => {
  test('a peer gets ranges by its share of the capacity', () => {
    const counts = shares([peer(1), peer(2), peer(3, {}, 2 ** 41)], 1)
    expect(counts.get(3)! / RANGES).toBeCloseTo(1 / 2, 1)
    expect(counts.get(1)! / RANGES).toBeCloseTo(1 / 4, 1)
  })

  test('one more peer takes over what it wins, and nothing else moves', () => {
    const before = [1, 2, 3, 4].map(number => peer(number))
    const more = [...before, peer(5)]
    let moved = 0
    for (let range = 0; range < RANGES; range++) {
      const old = choosePeers(VOLUME, range, 2, before).map(({ value }) => value.number)
      const now = choosePeers(VOLUME, range, 2, more).map(({ value }) => value.number)
      const came = now.filter(number => !old.includes(number))
      expect(came.every(number => number === 5)).toBe(true)
      moved += came.length
    }
    expect(moved / RANGES).toBeCloseTo(2 / 5, 1)
  })

  test('never two replicas on one host, and fewer where there are fewer hosts', () => {
    const crowded = [peer(1, { host: 'a' }), peer(2, { host: 'a' }), peer(3, { host: 'b' })]
    for (let range = 0; range < 100; range++) {
      const hosts = choosePeers(VOLUME, range, 3, crowded).map(one => domainsOf(one).host)
      expect(hosts).toHaveLength(2)
      expect(new Set(hosts).size).toBe(2)
    }
  })

  test('zones come before racks and racks before hosts, where there is a choice', () => {
    const peers = [
      peer(1, { zone: 'a', rack: 'r1' }),
      peer(2, { zone: 'a', rack: 'r1' }),
      peer(3, { zone: 'a', rack: 'r2' }),
      peer(4, { zone: 'b', rack: 'r1' }),
    ]
    for (let range = 0; range < 100; range++) {
      const two = choosePeers(VOLUME, range, 2, peers).map(one => domainsOf(one).zone)
      expect([...two].sort()).toEqual(['a', 'b'])
      const three = choosePeers(VOLUME, range, 3, peers).map(({ value }) => value.number)
      expect(three).toContain(3)
      expect(three).toContain(4)
    }
  })

  test('the draw is frozen: other draws would move what every cluster has placed', () => {
    const peers = [1, 2, 3, 4, 5].map(number => peer(number))
    const first = Array.from({ length: 8 }, (_, range) =>
      choosePeers(VOLUME, range, 3, peers)
        .map(({ value }) => value.number)
        .join(''),
    )
    expect(first).toMatchInlineSnapshot(`
      [
        "253",
        "423",
        "234",
        "514",
        "532",
        "431",
        "342",
        "324",
      ]
    `)
  })
})
