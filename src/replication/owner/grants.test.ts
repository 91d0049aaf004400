import { expect, test } from 'vitest'
import {
  CLOCK_RATE_ERROR,
  countedUntilMs,
  forgottenUntilMs,
  promisedUntilMs,
  readableUntilMs,
} from './grants.ts'

test('grants: an owner stops counting on a promise before the replica stops keeping it, at any clock rates', () => {
  const slowOwner = 1 - CLOCK_RATE_ERROR
  const fastReplica = 1 + CLOCK_RATE_ERROR
  const ownersTime = (countedUntilMs(0) - 0) / slowOwner
  const replicasTime = (promisedUntilMs(0) - 0) / fastReplica
  expect(ownersTime).toBeLessThanOrEqual(replicasTime)
})

test('grants: a replica that starts waits longer than any promise of its former life', () => {
  expect(forgottenUntilMs(1000)).toBeGreaterThan(promisedUntilMs(1000))
})

test.each([
  { members: [10, 20, 30], minReplicas: 2, until: 20 },
  { members: [30, 0, 0], minReplicas: 2, until: 0 },
  { members: [30, 10], minReplicas: 2, until: 30 },
  { members: [30, 10], minReplicas: 1, until: 10 },
  { members: [7], minReplicas: 1, until: 7 },
  { members: [7], minReplicas: 2, until: 0 },
  { members: [], minReplicas: 1, until: 0 },
])('grants: of $members with M $minReplicas reads last until $until', ({ members, minReplicas, until }) => {
  expect(readableUntilMs([...members], minReplicas)).toBe(until)
})
