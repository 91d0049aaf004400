import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { describeCommit, describeMachine, machineCpuSeconds } from '../machine.ts'
import type { Measurement } from '../measure.ts'
import type { Point } from '../points.ts'
import { compare, disturbance, ratioTable, summarize, summaryTable } from '../report.ts'
import { saveResult } from '../results.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { fio } from './fio.ts'
import { NBD_POINTS } from './points.ts'
import { NBD_STARTERS } from './servers.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
const WHOLE: Point = { name: 'fill', mode: 'write', blockBytes: 2 ** 20, queueDepth: 8 }

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: Object.keys(NBD_STARTERS).join(',') },
    points: { type: 'string', default: '' },
    directory: { type: 'string', default: tmpdir() },
  },
})

async function measure(server: BenchServer, point: Point, round: number): Promise<Measurement> {
  const machineBefore = machineCpuSeconds()
  const began = performance.now()
  const result = await fio(server, CLIENT_CPU, point, Number(options.seconds), round + 1)
  const wallSeconds = (performance.now() - began) / 1000
  const known = result.clientCpuSeconds + result.serverCpuSeconds
  const others = Math.max(0, machineCpuSeconds() - machineBefore - known) / wallSeconds
  return { server: server.name, point: point.name, round, ...result, othersCoreShare: others }
}

async function bench(servers: readonly BenchServer[], directory: string): Promise<void> {
  const parts = options.points.split(',').filter(Boolean)
  const points = NBD_POINTS.filter(
    ({ name }) => parts.length === 0 || parts.some(part => name.includes(part)),
  )
  const measurements: Measurement[] = []
  for (const server of servers) await fio(server, CLIENT_CPU, WHOLE, null, 0)
  for (let round = 0; round < Number(options.rounds); round++) {
    process.stderr.write(`round ${round + 1} of ${options.rounds}\n`)
    // Who comes first alternates, so that what one leaves behind disturbs all alike.
    const order = round % 2 === 0 ? servers : servers.toReversed()
    for (const server of order) await fio(server, CLIENT_CPU, { ...WHOLE, mode: 'read' }, null, 0)
    for (const point of points) {
      for (const server of order) measurements.push(await measure(server, point, round))
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
  try {
    for (const name of options.servers.split(',') as (keyof typeof NBD_STARTERS)[]) {
      const start = NBD_STARTERS[name]
      if (start === undefined)
        throw new Error(`there is no server '${name}': ${Object.keys(NBD_STARTERS).join(', ')}`)
      const place = { directory: join(directory, name), cpu: SERVER_CPU }
      mkdirSync(place.directory)
      servers.push(await start(place))
    }
    await bench(servers, directory)
  } finally {
    for (const server of servers) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
}

await main()
