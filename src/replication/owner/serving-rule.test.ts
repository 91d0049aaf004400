import { expect, test } from 'vitest'
import { type FenceState, servingVerdict } from './serving-rule.ts'

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
