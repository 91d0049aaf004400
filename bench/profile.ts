import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { Daemon } from '../test/lib/daemon.ts'
import { buildClient, load } from './client.ts'
import { type CpuProfile, flameGraph, hottest, mergeFrames } from './flame-graph.ts'
import { NBD_POINTS } from './nbd/points.ts'
import { loadArguments, POINTS, type Point } from './points.ts'
import { RESULTS_DIRECTORY } from './results.ts'
import { VOLUME_BYTES } from './servers/bench-server.ts'

// `npm run profile -- WORKLOAD`: a flame graph of the daemon's main thread, with the kernel's part inside the calls.
const SECONDS = 5
const FILL_SECONDS_MAX = 120
const HOTTEST = 25
const CLIENT_CPU = 1
const SERVER_CPU = 0
const WORKLOADS: readonly string[] = [
  ...POINTS.map(({ name }) => `iscsi-${name}`),
  ...NBD_POINTS.map(({ name }) => `nbd-${name}`),
]

function pointOf(workload: string): Point | undefined {
  const [protocol, ...rest] = workload.split('-')
  const points = protocol === 'iscsi' ? POINTS : protocol === 'nbd' ? NBD_POINTS : []
  return points.find(({ name }) => name === rest.join('-'))
}

const FILL: Point = { name: 'fill', mode: 'write', blockBytes: 2 ** 20, queueDepth: 8 }

async function fill(directory: string): Promise<void> {
  const daemon = await Daemon.start({ directory, cpu: SERVER_CPU })
  const whole = ['--count', String(VOLUME_BYTES / FILL.blockBytes)]
  await load(daemon.url('demo'), CLIENT_CPU, [...loadArguments(FILL), ...whole], FILL_SECONDS_MAX)
  await daemon.stop()
}

async function run(daemon: Daemon, workload: string, point: Point): Promise<void> {
  const url = workload.startsWith('iscsi') ? daemon.url('demo') : `nbd://${daemon.nbd}/demo`
  await load(url, CLIENT_CPU, [...loadArguments(point), '--seconds', `${SECONDS}`], SECONDS)
}

async function profile(workload: string, point: Point): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-profile-'))
  try {
    await fill(directory)
    const nodeArguments = ['--cpu-prof', '--cpu-prof-interval=250', `--cpu-prof-dir=${directory}/profiles`]
    const daemon = await Daemon.start({ directory, cpu: SERVER_CPU, nodeArguments })
    await run(daemon, workload, point)
    await daemon.stop()
    const profiles = readdirSync(join(directory, 'profiles')).map(
      name => JSON.parse(readFileSync(join(directory, 'profiles', name), 'utf8')) as CpuProfile,
    )
    // Each thread leaves one; the main thread is the one that was busy.
    const [root] = profiles.map(mergeFrames).toSorted((a, b) => b.totalUs - a.totalUs)
    if (root === undefined) throw new Error('the daemon left no profile')
    mkdirSync(RESULTS_DIRECTORY, { recursive: true })
    const file = join(RESULTS_DIRECTORY, `profile-${workload}.svg`)
    writeFileSync(file, flameGraph(root, workload))
    for (const { name, share } of hottest(root, HOTTEST)) {
      console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${name}`)
    }
    console.log(`flame graph: ${relative(process.cwd(), file)}`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const workload = process.argv[2] ?? ''
const point = pointOf(workload)
if (point === undefined) {
  console.error(`profile: name a workload: ${WORKLOADS.join(', ')}`)
  process.exit(2)
}
await buildClient()
await profile(workload, point)
