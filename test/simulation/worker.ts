import { parseArgs } from 'node:util'
import type { StartDaemon } from './cluster/sim-peer.ts'
import { type PlantedBug, singleOwnerDaemon } from './cluster/single-owner-daemon.ts'
import { ALL_OFF, SWITCHES, type Switches } from './cluster/world.ts'
import type { FaultKind } from './faults/faults.ts'
import { ALL_FAULT_KINDS, type AnyFaultKind } from './faults/nemesis.ts'
import { runSeed, type SeedOptions } from './run-seed.ts'

/** What a store without replication can stand: nothing that takes what was not flushed. */
const FAULTS_OF_ONE: readonly FaultKind[] = [
  'kill',
  'pause',
  'clientMoves',
  'segmentsCleared',
  'slowDisk',
  'diskFull',
]

/**
 * Runs the seeds that come as lines on standard input, or one that is named, and answers each with one line of
 * JSON: a process of its own, so that seeds use every core and a bug's patched sources stay apart.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    model: { type: 'string', default: 'replicated' },
    bug: { type: 'string', default: 'none' },
    faults: { type: 'string' },
    minimum: { type: 'string' },
    ...Object.fromEntries(SWITCHES.map(name => [name, { type: 'string' as const }])),
  },
})

async function optionsOfModel(): Promise<Omit<SeedOptions, 'seed' | 'print'>> {
  if (values.model === 'single-owner') {
    return {
      start: singleOwnerDaemon(values.bug as PlantedBug),
      faults: FAULTS_OF_ONE,
      shape: { ...ALL_OFF, peers: 1, replicas: 1, minReplicas: 1 },
      mustSettle: false,
    }
  }
  const { replicatedDaemon } = (await import('./cluster/replicated-daemon.ts')) as {
    replicatedDaemon: StartDaemon
  }
  const shape = {
    ...asked(),
    ...(values.minimum === undefined ? {} : { minReplicas: Number(values.minimum) }),
  }
  return { start: replicatedDaemon, faults: ALL_FAULT_KINDS, shape, mustSettle: true }
}

/** What is to be so in every seed, or in none. */
function asked(): Partial<Switches> {
  const given = values as Record<string, unknown>
  const names = SWITCHES.filter(name => given[name] !== undefined)
  return Object.fromEntries(names.map(name => [name, given[name] === 'always']))
}

const model = await optionsOfModel()
const faults = values.faults === undefined ? model.faults : (values.faults.split(',') as AnyFaultKind[])
const print = values.trace ? (line: string) => console.log(line) : null

/** Between two seeds the loop of Node must turn: a seed runs in a macrotask. */
function run(seed: number): Promise<void> {
  return new Promise(resolve => {
    setImmediate(() => {
      console.log(JSON.stringify(runSeed({ ...model, faults, seed, print })))
      resolve()
    })
  })
}

if (values.seed !== undefined) await run(Number(values.seed))
else {
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    for (const line of String(chunk).split('\n')) if (line !== '') await run(Number(line))
  }
}
