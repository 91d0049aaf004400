import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildClient, load } from '../client.ts'
import { describeCommit, describeMachine, residentBytes } from '../machine.ts'
import { type Measurement, measure } from '../measure.ts'
import { loadArguments } from '../points.ts'
import { disturbance, summarize, summaryTable } from '../report.ts'
import { saveResult } from '../results.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { goalResults, goalTable, type Memory, memoryLine } from './goals.ts'
import {
  AREA_BYTES,
  chooseReplicatedPoints,
  REPLICATED_POINTS,
  type ReplicatedPoint,
  wholeArea,
} from './points.ts'
import { missingPrograms, SYSTEMS } from './systems/kinds.ts'
import type { RunningSystem } from './systems/system.ts'

const CLIENT_CPU = 1
/** Long enough for writers to have touched every segment that they will touch again. */
const WARM_UP_SECONDS = 1
const WHOLE_SECONDS_MAX = 120
const SERVERS = SYSTEMS.flatMap(({ servers }) => servers)
const USAGE = `npm run bench:replicated -- [options]
  --rounds N          rounds, each with every server and point (5)
  --seconds S         measured time of one point (2)
  --servers A,B       names, or beginnings of names, of: ${SERVERS.join(', ')}
  --points A,B        names, or parts of names, of: ${REPLICATED_POINTS.map(({ name }) => name).join(', ')}
  --directory DIR     where all data lives (the system's temporary directory)`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: '' },
    points: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
})

const SECONDS = Number(options.seconds)
const ROUNDS = Number(options.rounds)

function wantedServers(): ReadonlySet<string> {
  const parts = options.servers.split(',').filter(Boolean)
  const ofKind = SYSTEMS.flatMap(({ servers, onRequest }) => servers.map(name => ({ name, onRequest })))
  const wanted = ofKind.filter(({ name, onRequest }) =>
    parts.length === 0 ? onRequest !== true : parts.some(part => name.startsWith(part)),
  )
  if (wanted.length === 0) throw new Error(`--servers names some of ${SERVERS.join(', ')}`)
  return new Set(wanted.map(({ name }) => name))
}

/** Those of the wanted systems that can run here; says why one cannot. */
async function startSystems(directory: string, running: RunningSystem[]): Promise<void> {
  const wanted = wantedServers()
  for (const kind of SYSTEMS) {
    const names = kind.servers.filter(name => wanted.has(name))
    if (names.length === 0) continue
    const missing = missingPrograms(kind)
    if (missing.length > 0) {
      const install = `apt-get install ${kind.packages.join(' ')}`
      console.log(`left out: ${names.join(', ')}: ${missing.join(', ')} not found; as root: ${install}`)
      continue
    }
    const place = join(directory, names[0] as string)
    mkdirSync(place)
    process.stderr.write(`starting ${names.join(', ')}\n`)
    try {
      running.push(await kind.start(place, wanted))
    } catch (error) {
      if (kind.rival === null) throw error
      console.log(`left out: ${names.join(', ')}: ${(error as Error).message}`)
    }
  }
}

/** Writes or reads all that is used of a system's one volume. */
async function whole({ servers }: RunningSystem, mode: 'read' | 'write'): Promise<void> {
  const point = wholeArea(mode)
  const count = ['--count', String(AREA_BYTES / point.blockBytes)]
  const { url } = servers[0] as BenchServer
  await load(url, CLIENT_CPU, [...loadArguments(point), ...count], WHOLE_SECONDS_MAX)
}

function memoryOf({ pids }: BenchServer): Memory {
  const each = pids.map(pid => residentBytes([pid]))
  return {
    allBytes: each.reduce((sum, { now }) => sum + now, 0),
    largestBytes: Math.max(...each.map(({ now }) => now)),
    peakBytes: Math.max(...each.map(({ peak }) => peak)),
  }
}

async function runRounds(
  systems: readonly RunningSystem[],
  points: readonly ReplicatedPoint[],
): Promise<Measurement[]> {
  const settings = { clientCpu: CLIENT_CPU, seconds: SECONDS, warmUpSeconds: WARM_UP_SECONDS }
  const measurements: Measurement[] = []
  for (let round = 0; round < ROUNDS; round++) {
    process.stderr.write(`round ${round + 1} of ${ROUNDS}\n`)
    // Who comes first alternates, so that what one leaves behind disturbs all alike.
    const order = round % 2 === 0 ? systems : systems.toReversed()
    if (points.some(({ mode }) => mode.endsWith('read'))) {
      for (const system of order) await whole(system, 'read')
    }
    for (const point of points) {
      for (const server of order.flatMap(({ servers }) => servers)) {
        measurements.push(await measure(server, point, round, settings))
      }
    }
  }
  return measurements
}

async function bench(systems: readonly RunningSystem[], directory: string): Promise<void> {
  const points = chooseReplicatedPoints(options.points.split(',').filter(Boolean))
  const servers = systems.flatMap(system => system.servers)
  const memory = () => new Map(servers.map(server => [server.name, memoryOf(server)]))
  const idle = memory()
  for (const [at, system] of systems.entries()) {
    process.stderr.write(`filling ${at + 1} of ${systems.length}\n`)
    await whole(system, 'write')
  }
  const measurements = await runRounds(systems, points)
  const loaded = memory()
  const summaries = points.flatMap(point => servers.map(({ name }) => summarize(measurements, name, point)))
  const goals = goalResults(measurements, points)

  console.log(summaryTable(summaries))
  if (goals.length > 0) console.log(`\n${goalTable(goals)}`)
  for (const { name } of servers) console.log(`\n${memoryLine(name, idle.get(name)!, loaded.get(name)!)}`)
  const disturbed = disturbance(measurements)
  if (disturbed !== null) console.log(`\n${disturbed}`)
  const file = saveResult('replicated-', {
    ...describeCommit(),
    machine: describeMachine(directory),
    options,
    pinning: { serverCpu: 'all', clientCpu: CLIENT_CPU, warmUpSeconds: WARM_UP_SECONDS },
    servers: servers.map(({ name, version, argv, settings }) => ({ name, version, argv, settings })),
    residentBytes: { idle: Object.fromEntries(idle), loaded: Object.fromEntries(loaded) },
    summaries,
    goals,
    measurements,
  })
  console.log(`\nall rounds: ${file}`)
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  await buildClient()
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-replicated-'))
  const running: RunningSystem[] = []
  const cleanUp = async () => {
    for (const system of running.splice(0).toReversed()) await system[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('SIGINT', () => cleanUp().finally(() => process.exit(130)))
  try {
    await startSystems(directory, running)
    await bench(running, directory)
  } finally {
    await cleanUp()
  }
}

await main()
