import { expect, test } from 'vitest'
import { type PlantedBug, singleOwnerDaemon } from './cluster/single-owner-daemon.ts'
import { ALL_OFF } from './cluster/world.ts'
import type { FaultKind } from './faults/faults.ts'
import { runSeed, type SeedResult } from './run-seed.ts'

const FAULTS: readonly FaultKind[] = [
  'kill',
  'pause',
  'clientMoves',
  'segmentsCleared',
  'slowDisk',
  'diskFull',
]

/** A seed runs in a macrotask of its own. */
function run(seed: number, bug: PlantedBug): Promise<SeedResult> {
  const shape = { ...ALL_OFF, peers: 1, replicas: 1, minReplicas: 1 }
  const options = {
    seed,
    start: singleOwnerDaemon(bug),
    faults: FAULTS,
    shape,
    print: null,
    mustSettle: false,
  }
  return new Promise(resolve => {
    setImmediate(() => resolve(runSeed(options)))
  })
}

test('checker: a store without replication and without bugs breaks nothing', async () => {
  for (let seed = 1; seed <= 10; seed++) expect((await run(seed, 'none')).violation).toBeNull()
})

test.each<[PlantedBug, string[]]>([
  ['staleRead', ['I4', 'I6']],
  ['lostWrite', ['I2']],
  ['flushIsEmpty', ['I6']],
  ['wrongBlock', ['I2', 'I12']],
  ['zeroesForUnknown', ['I4', 'I6']],
])('checker: %s is found', async (bug, rules) => {
  for (let seed = 1; seed <= 10; seed++) {
    const { violation } = await run(seed, bug)
    if (violation === null) continue
    expect(rules).toContain(violation.rule)
    return
  }
  expect.fail('not found in ten seeds')
})

test('a seed repeats itself exactly, and another seed is another run', async () => {
  const first = await run(7, 'none')
  expect((await run(7, 'none')).fingerprint).toBe(first.fingerprint)
  expect((await run(8, 'none')).fingerprint).not.toBe(first.fingerprint)
})
