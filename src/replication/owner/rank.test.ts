import { expect, test } from 'vitest'
import { candidateRank } from './rank.ts'

test('candidates: every member has a place of its own, and strangers come after all', () => {
  const peers = [1, 2, 3]
  expect(peers.map(peer => candidateRank('volume', peers, peer)).sort()).toEqual([0, 1, 2])
  expect(candidateRank('volume', peers, 9)).toBe(3)
})

test('candidates: volumes are spread over their members', () => {
  const firsts = new Map<number, number>()
  for (let i = 0; i < 300; i++) {
    const first = [1, 2, 3].find(peer => candidateRank(`volume-${i}`, [1, 2, 3], peer) === 0)!
    firsts.set(first, (firsts.get(first) ?? 0) + 1)
  }
  for (const peer of [1, 2, 3]) expect(firsts.get(peer)).toBeGreaterThan(60)
})
