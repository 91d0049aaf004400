import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildClient } from '../client.ts'
import { describeCommit, describeMachine } from '../machine.ts'
import { type Client, fill, type Measurement, prewarm } from '../measure.ts'
import { compare, disturbance, ratioTable, summarize, summaryTable } from '../report.ts'
import { saveResult } from '../results.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { pairedRatios } from '../statistics.ts'
import { measureNbd } from './measure.ts'
import { NBD_CHECK_POINTS, NBD_POINTS } from './points.ts'
import { NBD_STARTERS } from './servers.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
const CLIENTS: readonly Client[] = ['fio', 'own']

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: Object.keys(NBD_STARTERS).join(',') },
    points: { type: 'string', default: '' },
    client: { type: 'string', default: 'fio' },
    'check-client': { type: 'boolean', default: false },
    directory: { type: 'string', default: tmpdir() },
  },
})

function chosenClient(): Client {
  const client = CLIENTS.find(name => name === options.client)
  if (client === undefined) throw new Error(`--client is one of ${CLIENTS.join(', ')}`)
  return client
}

/** The two clients beside each other, where neither is the limit. */
async function checkClient(servers: readonly BenchServer[]): Promise<void> {
  const rounds = Array.from({ length: Number(options.rounds) }, (_, round) => round)
  for (const server of servers) {
    await fill(server, CLIENT_CPU)
    for (const point of NBD_CHECK_POINTS) {
      const figures: Record<Client, number[]> = { fio: [], own: [] }
      for (const round of rounds)
        for (const client of CLIENTS) {
          const settings = { clientCpu: CLIENT_CPU, seconds: Number(options.seconds), client }
          figures[client].push((await measureNbd(server, point, round, settings)).operationsPerSecond)
        }
      const { median, min, max } = pairedRatios(figures.own, figures.fio)
      const range = `${min.toFixed(2)}-${max.toFixed(2)}`
      console.log(`${server.name}: ${point.name}: own / fio ${median.toFixed(2)} (${range})`)
    }
  }
}

async function bench(servers: readonly BenchServer[], directory: string): Promise<void> {
  const parts = options.points.split(',').filter(Boolean)
  const points = NBD_POINTS.filter(
    ({ name }) => parts.length === 0 || parts.some(part => name.includes(part)),
  )
  const settings = { clientCpu: CLIENT_CPU, seconds: Number(options.seconds), client: chosenClient() }
  const measurements: Measurement[] = []
  for (const server of servers) await fill(server, CLIENT_CPU)
  for (let round = 0; round < Number(options.rounds); round++) {
    process.stderr.write(`round ${round + 1} of ${options.rounds}\n`)
    // Who comes first alternates, so that what one leaves behind disturbs all alike.
    const order = round % 2 === 0 ? servers : servers.toReversed()
    for (const server of order) await prewarm(server, CLIENT_CPU)
    for (const point of points) {
      for (const server of order) measurements.push(await measureNbd(server, point, round, settings))
    }
  }
  const summaries = points.flatMap(point => servers.map(({ name }) => summarize(measurements, name, point)))
  console.log(summaryTable(summaries))
  const compared = ['holdfast', 'nbdkit'].every(name => servers.some(server => server.name === name))
  const ratios = compared ? points.map(point => compare(measurements, point, 'nbdkit')) : []
  if (compared) console.log(`\n${ratioTable(ratios, 'nbdkit')}`)
  const disturbed = disturbance(measurements)
  if (disturbed !== null) console.log(`\n${disturbed}`)
  const file = saveResult('nbd-', {
    ...describeCommit(),
    machine: describeMachine(directory),
    options,
    servers: servers.map(({ name, version, argv, settings }) => ({ name, version, argv, settings })),
    summaries,
    ratios,
    measurements,
  })
  console.log(`\nall rounds: ${file}`)
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-nbd-'))
  const servers: BenchServer[] = []
  await buildClient(['nbd:'])
  try {
    for (const name of options.servers.split(',') as (keyof typeof NBD_STARTERS)[]) {
      const start = NBD_STARTERS[name]
      if (start === undefined)
        throw new Error(`there is no server '${name}': ${Object.keys(NBD_STARTERS).join(', ')}`)
      const place = { directory: join(directory, name), cpu: SERVER_CPU }
      mkdirSync(place.directory)
      servers.push(await start(place))
    }
    if (options['check-client']) await checkClient(servers)
    else await bench(servers, directory)
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
