import { expect, test } from 'vitest'
import { type CopyPlanFacts, nextChange, RANGES_PER_COPY } from './copy-plan.ts'
import type { CopyPlanner, OutMember, WantedChange } from './resync-ports.ts'

const RECREATE_AFTER_MS = 600_000
const AWAY: OutMember = { peerNumber: 3, since: 5, ranges: [4, 2], answers: false, awayMs: 0, notBeforeMs: 0 }
const BACK: OutMember = { ...AWAY, answers: true }
const MOVE: WantedChange = { range: 7, joins: 4, leaves: 1 }

function facts(change: Partial<CopyPlanFacts> & Partial<CopyPlanner>): CopyPlanFacts {
  const { wanted = () => [], substitute = () => null, ...rest } = change
  return {
    volumeUuid: 'v',
    nowMs: 1000,
    recreateAfterMs: RECREATE_AFTER_MS,
    outs: [],
    restsUntilMs: new Map(),
    isPlaced: peer => peer <= 3,
    isServed: () => true,
    planner: { wanted, substitute, isFull: () => false },
    ...rest,
  }
}

test('plan: nothing out and nothing wanted means nothing to do', () => {
  expect(nextChange(facts({}))).toBeNull()
})

test('plan: a brick that answers comes back to all of its ranges, before anything is moved', () => {
  expect(nextChange(facts({ outs: [BACK], wanted: () => [MOVE] }))).toEqual({
    kind: 'resync',
    joins: 3,
    leaves: null,
    ranges: [2, 4],
    since: 5,
  })
})

test('plan: one that is away, damped or resting waits; the next one does not', () => {
  expect(nextChange(facts({ outs: [AWAY] }))).toBeNull()
  expect(nextChange(facts({ outs: [{ ...BACK, notBeforeMs: 1001 }] }))).toBeNull()
  const restsUntilMs = new Map([[3, 1001]])
  expect(nextChange(facts({ outs: [BACK], restsUntilMs }))).toBeNull()
  const outs = [BACK, { ...BACK, peerNumber: 4 }]
  expect(nextChange(facts({ outs, restsUntilMs }))).toMatchObject({ joins: 4 })
})

test('plan: one copy takes a bounded number of ranges', () => {
  const ranges = Array.from({ length: 200 }, (_, range) => range)
  expect(nextChange(facts({ outs: [{ ...BACK, ranges }] }))).toMatchObject({
    ranges: ranges.slice(0, RANGES_PER_COPY),
  })
})

test('plan: what is away for ten minutes is made anew where the planner says, and nowhere if it says so', () => {
  const outs = [{ ...AWAY, awayMs: RECREATE_AFTER_MS }]
  const substitute = (_volume: string, range: number) => (range === 2 ? 5 : 6)
  expect(nextChange(facts({ outs, substitute }))).toEqual({
    kind: 'recreate',
    joins: 6,
    leaves: 3,
    ranges: [4],
    since: 0,
  })
  expect(nextChange(facts({ outs }))).toBeNull()
  const early = [{ ...AWAY, awayMs: RECREATE_AFTER_MS - 1 }]
  expect(nextChange(facts({ outs: early, substitute }))).toBeNull()
})

test('plan: moves of one pair go together; a range with a member missing is not moved', () => {
  const wanted = () => [MOVE, { ...MOVE, range: 2 }, { ...MOVE, range: 9 }, { ...MOVE, range: 8, joins: 5 }]
  expect(nextChange(facts({ outs: [AWAY], wanted }))).toEqual({
    kind: 'move',
    joins: 4,
    leaves: 1,
    ranges: [7, 9],
    since: 0,
  })
})

test('plan: where a range lacks a member only because that one is to leave it, it leaves', () => {
  const leave = { range: 2, joins: null, leaves: 3 }
  expect(nextChange(facts({ outs: [AWAY], wanted: () => [leave] }))).toEqual({
    kind: 'leave',
    leaves: 3,
    ranges: [2],
  })
  expect(nextChange(facts({ outs: [AWAY], wanted: () => [{ ...leave, leaves: 1 }] }))).toBeNull()
  const others = [AWAY, { ...AWAY, peerNumber: 2 }]
  expect(nextChange(facts({ outs: others, wanted: () => [leave] }))).toBeNull()
})

test('plan: nothing moves in a range that is not served yet', () => {
  const wanted = () => [MOVE, { ...MOVE, range: 9 }]
  expect(nextChange(facts({ wanted, isServed: range => range === 9 }))).toMatchObject({ ranges: [9] })
  expect(nextChange(facts({ wanted, isServed: () => false }))).toBeNull()
})

test('plan: what is done already is not done again', () => {
  const wanted = () => [MOVE, { ...MOVE, joins: null }]
  expect(nextChange(facts({ wanted, isPlaced: () => true }))).toMatchObject({ kind: 'leave' })
  expect(nextChange(facts({ wanted, isPlaced: () => false }))).toBeNull()
  const outs = [{ ...AWAY, awayMs: RECREATE_AFTER_MS }]
  expect(nextChange(facts({ outs, substitute: () => 5, isPlaced: () => true }))).toBeNull()
})

test('plan: more replicas join without anybody leaving, fewer leave without a copy', () => {
  expect(nextChange(facts({ wanted: () => [{ ...MOVE, leaves: null }] }))).toMatchObject({
    kind: 'move',
    joins: 4,
    leaves: null,
  })
  expect(nextChange(facts({ wanted: () => [{ ...MOVE, joins: null }] }))).toEqual({
    kind: 'leave',
    leaves: 1,
    ranges: [7],
  })
})
