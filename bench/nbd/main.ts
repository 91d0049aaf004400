import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { buildClient } from '../client.ts'
import { type Client, fill } from '../measure.ts'
import { conclude } from '../outcome.ts'
import { choosePoints } from '../points.ts'
import { runRounds } from '../rounds.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { NBD_KINDS } from '../servers/nbd-kinds.ts'
import { chooseKinds, startKinds } from '../servers/server-kind.ts'
import { pairedRatios } from '../statistics.ts'
import { measureNbd } from './measure.ts'
import { NBD_CHECK_POINTS, NBD_POINTS } from './points.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
const CLIENTS: readonly Client[] = ['fio', 'own']

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: '' },
    points: { type: 'string', default: '' },
    client: { type: 'string', default: 'fio' },
    setting: { type: 'string', multiple: true, default: [] },
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

async function bench(
  servers: readonly BenchServer[],
  leftOut: readonly string[],
  directory: string,
): Promise<void> {
  const points = choosePoints(NBD_POINTS, options.points.split(',').filter(Boolean))
  const settings = { clientCpu: CLIENT_CPU, seconds: Number(options.seconds), client: chosenClient() }
  const measurements = await runRounds({
    servers,
    points,
    rounds: Number(options.rounds),
    clientCpu: CLIENT_CPU,
    measureOne: (server, point, round) => measureNbd(server, point, round, settings),
  })
  conclude({ prefix: 'nbd-', directory, options, servers, leftOut, points, goalOf: 'nbdkit', measurements })
}

async function main(): Promise<void> {
  const kinds = chooseKinds(NBD_KINDS, options.servers.split(',').filter(Boolean))
  await buildClient(['nbd:'])
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-nbd-'))
  const servers: BenchServer[] = []
  const cleanUp = async () => {
    for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('SIGINT', () => cleanUp().finally(() => process.exit(130)))
  try {
    const holdfastArguments = options.setting.map(setting => `--${setting}`)
    const leftOut = await startKinds(kinds, { directory, cpu: SERVER_CPU, holdfastArguments }, servers)
    if (options['check-client']) await checkClient(servers)
    else await bench(servers, leftOut, directory)
  } finally {
    await cleanUp()
  }
}

await main()
