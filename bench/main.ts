import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildClient, iscsiPerf, load } from './client.ts'
import { describeCommit, describeMachine, residentBytes } from './machine.ts'
import { fill, type Measurement, measure, prewarm } from './measure.ts'
import { choosePoints, loadArguments, POINTS, type Point } from './points.ts'
import { compare, disturbance, ratioTable, summarize, summaryTable } from './report.ts'
import { saveResult } from './results.ts'
import type { BenchServer } from './servers/bench-server.ts'
import { startHoldfast } from './servers/holdfast.ts'
import { startTgt } from './servers/tgt.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
/** Without load, before the idle memory is read. */
const IDLE_AFTER_MS = 10_000
const WARM_UP_SECONDS = 0.3
const STARTERS = { holdfast: startHoldfast, tgt: startTgt } as const
const USAGE = `npm run bench -- [options]
  --rounds N          rounds, each with every server and point (5)
  --seconds S         measured time of one point (2)
  --only SERVER       holdfast or tgt
  --points A,B        names, or parts of names, of: ${POINTS.map(p => p.name).join(', ')}
  --directory DIR     where both volumes live (the system's temporary directory)
  --check-client      run the load generator and iscsi-perf beside each other instead`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string' },
    points: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
    'check-client': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function chosenServers(): (keyof typeof STARTERS)[] {
  const all = Object.keys(STARTERS) as (keyof typeof STARTERS)[]
  const chosen = all.filter(name => options.only === undefined || options.only === name)
  if (chosen.length === 0) throw new Error(`--only is one of ${all.join(', ')}`)
  return chosen
}

async function checkClient(servers: readonly BenchServer[], seconds: number): Promise<void> {
  const point = choosePoints(['randread-4k-qd32'])[0] as Point
  const timing = ['--seconds', String(seconds)]
  for (const server of servers) {
    const batched = await load(server.url, CLIENT_CPU, [...loadArguments(point), ...timing], seconds)
    const plainArgs = [...loadArguments(point), ...timing, '--plain-socket']
    const plain = await load(server.url, CLIENT_CPU, plainArgs, seconds)
    const reference = await iscsiPerf(
      server.url,
      CLIENT_CPU,
      point.queueDepth,
      Math.max(2, Math.round(seconds)),
    )
    const whole = (value: number) => Math.round(value).toLocaleString('en')
    console.log(
      `${server.name}: ${point.name}: load ${whole(batched.operationsPerSecond)} ops/s, ` +
        `load --plain-socket ${whole(plain.operationsPerSecond)}, iscsi-perf ${whole(reference)}`,
    )
  }
}

async function runRounds(
  servers: readonly BenchServer[],
  points: readonly Point[],
  rounds: number,
  seconds: number,
) {
  const settings = { clientCpu: CLIENT_CPU, seconds, warmUpSeconds: WARM_UP_SECONDS }
  const measurements: Measurement[] = []
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    // Who comes first alternates, so that what one leaves behind disturbs both alike.
    const order = round % 2 === 0 ? servers : servers.toReversed()
    for (const server of order) await prewarm(server, CLIENT_CPU)
    for (const point of points)
      for (const server of order) measurements.push(await measure(server, point, round, settings))
  }
  return measurements
}

async function bench(servers: readonly BenchServer[], directory: string): Promise<void> {
  const points = choosePoints(options.points.split(',').filter(Boolean))
  // Right after the start the heap holds what only starting needed.
  await sleep(IDLE_AFTER_MS)
  const idle = Object.fromEntries(servers.map(s => [s.name, residentBytes(s.pids)]))
  for (const server of servers) await fill(server, CLIENT_CPU)
  const measurements = await runRounds(servers, points, Number(options.rounds), Number(options.seconds))
  const loaded = Object.fromEntries(servers.map(s => [s.name, residentBytes(s.pids)]))
  const summaries = points.flatMap(point => servers.map(s => summarize(measurements, s.name, point)))
  const ratios = servers.length === 2 ? points.map(point => compare(measurements, point)) : []

  console.log(summaryTable(summaries))
  if (ratios.length > 0) console.log(`\n${ratioTable(ratios)}`)
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
  for (const { name } of servers)
    console.log(
      `\n${name}: resident ${megabytes(idle[name]?.now ?? 0)} idle, ${megabytes(loaded[name]?.now ?? 0)} after load, ` +
        `${megabytes(loaded[name]?.peak ?? 0)} at most`,
    )
  const disturbed = disturbance(measurements)
  if (disturbed !== null) console.log(`\n${disturbed}`)
  const file = saveResult('', {
    ...describeCommit(),
    machine: describeMachine(directory),
    options,
    pinning: { serverCpu: SERVER_CPU, clientCpu: CLIENT_CPU, warmUpSeconds: WARM_UP_SECONDS },
    servers: servers.map(({ name, version, argv, settings }) => ({ name, version, argv, settings })),
    residentBytes: { idle, loaded },
    summaries,
    ratios,
    measurements,
  })
  console.log(`\nall rounds: ${file}`)
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  await buildClient()
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-'))
  const servers: BenchServer[] = []
  const cleanUp = async () => {
    for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('SIGINT', () => cleanUp().finally(() => process.exit(130)))
  try {
    for (const name of chosenServers()) {
      const place = { directory: join(directory, name), cpu: SERVER_CPU }
      mkdirSync(place.directory)
      servers.push(await STARTERS[name](place))
    }
    if (options['check-client']) {
      for (const server of servers) await fill(server, CLIENT_CPU)
      await checkClient(servers, Number(options.seconds))
    } else {
      await bench(servers, directory)
    }
  } finally {
    await cleanUp()
  }
}

await main()
