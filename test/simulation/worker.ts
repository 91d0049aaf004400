import { parseArgs } from 'node:util'
import type { StartDaemon } from './cluster/sim-peer.ts'
import { type PlantedBug, singleOwnerDaemon } from './cluster/single-owner-daemon.ts'
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
    gateways: { type: 'string' },
    atomics: { type: 'string' },
    minimum: { type: 'string' },
    rollback: { type: 'string' },
    layout: { type: 'string' },
    reservations: { type: 'string' },
    looks: { type: 'string' },
    aborts: { type: 'string' },
  },
})

async function optionsOfModel(): Promise<Omit<SeedOptions, 'seed' | 'print'>> {
  if (values.model === 'single-owner') {
    return {
      start: singleOwnerDaemon(values.bug as PlantedBug),
      faults: FAULTS_OF_ONE,
      shape: {
        peers: 1,
        replicas: 1,
        minReplicas: 1,
        gateways: false,
        atomics: false,
        rollback: false,
        layout: false,
        reservations: false,
        looks: false,
        aborts: false,
      },
      mustSettle: false,
    }
  }
  const { replicatedDaemon } = (await import('./cluster/replicated-daemon.ts')) as {
    replicatedDaemon: StartDaemon
  }
  const shape = {
    ...(values.gateways === undefined ? {} : { gateways: values.gateways === 'always' }),
    ...(values.minimum === undefined ? {} : { minReplicas: Number(values.minimum) }),
    ...(values.rollback === undefined ? {} : { rollback: values.rollback === 'always' }),
    ...(values.layout === undefined ? {} : { layout: values.layout === 'always' }),
    ...(values.aborts === undefined ? {} : { aborts: values.aborts === 'always' }),
    ...(values.looks === undefined ? {} : { looks: values.looks === 'always' }),
    ...(values.reservations === undefined ? {} : { reservations: values.reservations === 'always' }),
    ...(values.atomics === undefined ? {} : { atomics: values.atomics === 'always' }),
  }
  return { start: replicatedDaemon, faults: ALL_FAULT_KINDS, shape, mustSettle: true }
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
