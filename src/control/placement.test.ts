import { describe, expect, test } from 'vitest'
import { decodeValue, encodeValue, RANGE_BYTES } from './layout.ts'
import { hostsOf, type PlaceablePeer } from './placement/peers.ts'
import { chooseReplication, pagesOf, placePage } from './placement.ts'
import { naaOfVolume, parseCompanyId } from './volume-rules.ts'

const peer = (number: number, host?: string): PlaceablePeer => ({
  id: `p${number}`,
  value: { number, addresses: [], labels: host === undefined ? {} : { host } },
})

describe('replication', () => {
  test('defaults: R is the domains up to three, M more than half of R', () => {
    expect([1, 2, 3, 7].map(domains => chooseReplication(domains, {}))).toEqual([
      { replicas: 1, minReplicas: 1 },
      { replicas: 2, minReplicas: 2 },
      { replicas: 3, minReplicas: 2 },
      { replicas: 3, minReplicas: 2 },
    ])
    expect(chooseReplication(7, { replicas: 5 })).toEqual({ replicas: 5, minReplicas: 3 })
    expect(chooseReplication(3, { replicas: 2, minReplicas: 1 })).toEqual({ replicas: 2, minReplicas: 1 })
  })

  test('degraded: only when asked for, and never with an M that cannot be met', () => {
    expect(() => chooseReplication(2, { replicas: 3 })).toThrow('3 failure domains and there are 2')
    expect(chooseReplication(2, { replicas: 3, allowDegraded: true })).toEqual({
      replicas: 3,
      minReplicas: 2,
    })
    expect(chooseReplication(1, { replicas: 3, allowDegraded: true })).toEqual({
      replicas: 3,
      minReplicas: 1,
      minReplicasWanted: 2,
    })
    expect(chooseReplication(1, { replicas: 2, minReplicas: 1, allowDegraded: true })).toEqual({
      replicas: 2,
      minReplicas: 1,
    })
    expect(() => chooseReplication(1, { replicas: 3, minReplicas: 2, allowDegraded: true })).toThrow(
      'no write could be acknowledged',
    )
  })

  test('domains: peers of one host are one domain, a peer without the label is its own', () => {
    expect(hostsOf([peer(1, 'a'), peer(2, 'a'), peer(3, 'b'), peer(4), peer(5)])).toBe(4)
  })
})

describe('placement', () => {
  const peers = [peer(1, 'a'), peer(2, 'a'), peer(3, 'b'), peer(4, 'c')]
  const volume = (ranges: number, replicas = 2) => ({
    uuid: '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11',
    sizeBytes: ranges * RANGE_BYTES,
    replicas,
  })

  test('pages: 64 ranges of 4 GiB each, the last one partly filled', () => {
    expect(pagesOf(1)).toBe(1)
    expect(pagesOf(64 * RANGE_BYTES)).toBe(1)
    expect(pagesOf(64 * RANGE_BYTES + 1)).toBe(2)
    expect(placePage(1, volume(70.5), peers).ranges).toHaveLength(7)
  })

  test('ranges: replicas lie on different domains, and every peer gets some', () => {
    const { ranges } = placePage(0, volume(64), peers)
    const used = new Set(ranges.flat())
    expect([...used].sort()).toEqual([1, 2, 3, 4])
    for (const [a, b] of ranges) {
      expect(a).not.toBe(b)
      expect([a, b].filter(number => number === 1 || number === 2).length).toBeLessThan(2)
    }
  })

  test('growing: what is placed stays where it is', () => {
    const before = placePage(0, volume(3, 1), [peer(9)])
    const after = placePage(0, volume(5), peers, before.ranges)
    expect(after.ranges.slice(0, 3)).toEqual([[9], [9], [9]])
    expect(after.ranges).toHaveLength(5)
  })
})

describe('values', () => {
  test('value: magic, kind and version come first, and all of them are checked', () => {
    const bytes = encodeValue('brick', { peer: 'a', openCounter: 7 })
    expect(bytes.toString()).toBe('holdfast brick 1\n{"peer":"a","openCounter":7}')
    expect(decodeValue('brick', 'b/1', bytes)).toEqual({ peer: 'a', openCounter: 7 })
    for (const text of [
      '',
      '{}',
      'other brick 1\n{}',
      'holdfast peer 1\n{}',
      'holdfast brick 2\n{}',
      'holdfast brick 1\n{',
    ]) {
      expect(() => decodeValue('brick', 'b/1', Buffer.from(text))).toThrow("'b/1'")
    }
  })

  test('NAA: the company id and 100 random bits of the uuid, without version and variant', () => {
    const uuid = '00112233-4455-4677-9899-aabbccddeeff'
    expect(naaOfVolume(parseCompanyId('02484F'), uuid)).toBe('602484f0011223344556778' + '99aabbccd')
    expect(() => parseCompanyId('12345')).toThrow('six hex digits')
  })
})
