import { expect, test } from 'vitest'
import { type FenceState, losesSource, servingVerdict } from './serving-rule.ts'

test.each<{ states: FenceState[]; minReplicas: number; verdict: object }>([
  { states: ['warm', 'warm', 'warm'], minReplicas: 2, verdict: { may: 'serve' } },
  { states: ['warm', 'cold'], minReplicas: 2, verdict: { may: 'serve' } },
  { states: ['warm', 'cold', 'waiting'], minReplicas: 2, verdict: { may: 'remove', peers: [2] } },
  { states: ['warm', 'failed', 'warm'], minReplicas: 2, verdict: { may: 'remove', peers: [1] } },
  { states: ['warm', 'failed', 'failed'], minReplicas: 2, verdict: { may: 'wait' } },
  { states: ['cold', 'cold', 'waiting'], minReplicas: 2, verdict: { may: 'onlyCold', everybody: false } },
  { states: ['cold', 'cold', 'failed'], minReplicas: 2, verdict: { may: 'onlyCold', everybody: true } },
  { states: ['cold'], minReplicas: 1, verdict: { may: 'onlyCold', everybody: true } },
  { states: ['waiting'], minReplicas: 1, verdict: { may: 'wait' } },
])('serving: $states with M $minReplicas', ({ states, minReplicas, verdict }) => {
  expect(servingVerdict([...states.keys()], minReplicas, peer => states[peer]!)).toEqual(verdict)
})

test.each([
  { what: 'another good one remains', before: [[1, 2, 3]], after: [[2, 3]], good: [1, 2], loses: false },
  { what: 'none remains', before: [[1, 2, 3]], after: [[2, 3]], good: [1], loses: true },
  { what: 'none was there', before: [[1, 2, 3]], after: [[2, 3]], good: [], loses: false },
  {
    what: 'none remains in the second range',
    before: [
      [1, 2],
      [1, 3],
    ],
    after: [[1, 2], [3]],
    good: [1],
    loses: true,
  },
])('leaving: $what', ({ before, after, good, loses }) => {
  expect(losesSource(before, after, peer => good.includes(peer))).toBe(loses)
})
