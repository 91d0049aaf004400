import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { buildClient, iscsiPerf, load } from './client.ts'
import { residentBytes } from './machine.ts'
import { fill, measure } from './measure.ts'
import { conclude } from './outcome.ts'
import { choosePoints, loadArguments, POINTS, type Point } from './points.ts'
import { runRounds } from './rounds.ts'
import type { BenchServer } from './servers/bench-server.ts'
import { ISCSI_KINDS } from './servers/iscsi-kinds.ts'
import { chooseKinds, startKinds } from './servers/server-kind.ts'

const SERVER_CPU = 0
const CLIENT_CPU = 1
/** Without load, before the idle memory is read. */
const IDLE_AFTER_MS = 10_000
const WARM_UP_SECONDS = 0.3
const USAGE = `npm run bench -- [options]
  --rounds N          rounds, each with every server and point (5)
  --seconds S         measured time of one point (2)
  --servers A,B       some of ${ISCSI_KINDS.map(({ name }) => name).join(', ')}
  --points A,B        names, or parts of names, of: ${POINTS.map(p => p.name).join(', ')}
  --setting FLAG=V    another setting of Holdfast, as its command line takes it; may be repeated
  --directory DIR     where all volumes live (the system's temporary directory)
  --check-client      run the load generator and iscsi-perf beside each other instead`

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    servers: { type: 'string', default: '' },
    points: { type: 'string', default: '' },
    setting: { type: 'string', multiple: true, default: [] },
    directory: { type: 'string', default: tmpdir() },
    'check-client': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

async function checkClient(servers: readonly BenchServer[], seconds: number): Promise<void> {
  const point = choosePoints(POINTS, ['randread-4k-qd32'])[0] as Point
  const timing = ['--seconds', String(seconds)]
  for (const server of servers) {
    await fill(server, CLIENT_CPU)
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

async function bench(
  servers: readonly BenchServer[],
  leftOut: readonly string[],
  directory: string,
): Promise<void> {
  const points = choosePoints(POINTS, options.points.split(',').filter(Boolean))
  // Right after the start the heap holds what only starting needed.
  await sleep(IDLE_AFTER_MS)
  const memory = () => Object.fromEntries(servers.map(s => [s.name, residentBytes(s.pids)]))
  const idle = memory()
  const settings = {
    clientCpu: CLIENT_CPU,
    seconds: Number(options.seconds),
    warmUpSeconds: WARM_UP_SECONDS,
  }
  const measurements = await runRounds({
    servers,
    points,
    rounds: Number(options.rounds),
    clientCpu: CLIENT_CPU,
    measureOne: (server, point, round) => measure(server, point, round, settings),
  })
  const loaded = memory()
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`
  for (const { name } of servers)
    console.log(
      `${name}: resident ${megabytes(idle[name]?.now ?? 0)} idle, ${megabytes(loaded[name]?.now ?? 0)} after load, ` +
        `${megabytes(loaded[name]?.peak ?? 0)} at most`,
    )
  console.log()
  conclude({
    ...{ prefix: '', directory, options, servers, leftOut, points, goalOf: 'tgt', measurements },
    more: {
      pinning: { serverCpu: SERVER_CPU, clientCpu: CLIENT_CPU, warmUpSeconds: WARM_UP_SECONDS },
      residentBytes: { idle, loaded },
    },
  })
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  const kinds = chooseKinds(ISCSI_KINDS, options.servers.split(',').filter(Boolean))
  await buildClient(['iscsi:'])
  const directory = mkdtempSync(join(options.directory, 'holdfast-bench-'))
  const servers: BenchServer[] = []
  const cleanUp = async () => {
    for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  }
  process.once('SIGINT', () => cleanUp().finally(() => process.exit(130)))
  try {
    const holdfastArguments = options.setting.map(setting => `--${setting}`)
    const leftOut = await startKinds(kinds, { directory, cpu: SERVER_CPU, holdfastArguments }, servers)
    if (options['check-client']) await checkClient(servers, Number(options.seconds))
    else await bench(servers, leftOut, directory)
  } finally {
    await cleanUp()
  }
}

await main()
