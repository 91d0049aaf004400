import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { hostNetworkMissing } from '../test/lib/cluster/host-network.ts'
import { etcdMissing } from '../test/lib/etcd-server.ts'
import { FaultWorld } from './faults/fault-world.ts'
import { describeMany, type ManyVolumes, measureManyVolumes } from './faults/many-volumes.ts'
import { measureInterruptedResync, measureResync, type ResyncCost } from './faults/resync.ts'
import { measureStall, STALL_CASES } from './faults/stalls.ts'
import { describeCommit, describeMachine } from './machine.ts'
import { saveResult } from './results.ts'
import { spread } from './statistics.ts'

// How long I/O stands still when something fails, and what a return costs: three daemons, etcd and a client in network
// namespaces on one machine. Nothing passes or fails.

const VOLUME = 'faults'
const VOLUME_SIZE = '64MiB'
const MANY_GOAL_MS = 5_000
const RESYNC_FACTOR_GOAL = 1.5
const MB = 1e6
const RESYNCS = [
  { name: '16 MiB in one run', blocks: 4096, scattered: false },
  { name: '8 MiB scattered', blocks: 2048, scattered: true },
  { name: '1 MiB scattered', blocks: 256, scattered: true },
] as const

const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    protocol: { type: 'string', default: 'nbd' },
    volumes: { type: 'string', default: '100,1000' },
  },
})

interface Measured {
  readonly name: string
  readonly goal: string
  readonly values: readonly number[]
  readonly unit: 'ms' | 'bytes for one missed'
}

const missing = hostNetworkMissing() ?? etcdMissing()
if (missing !== null) throw new Error(missing)

const measured: Measured[] = []
const costs: ({ readonly name: string } & ResyncCost)[] = []
const many: ManyVolumes[] = []
const rounds = Array.from({ length: Number(options.rounds) }, (_, round) => round)
const isWanted = (name: string) => name.includes(options.only)

function show(each: Measured): void {
  measured.push(each)
  const { median, min, max } = spread(each.values)
  const text = each.unit === 'ms' ? (value: number) => value.toFixed(0) : (value: number) => value.toFixed(2)
  const figures = [median, min, max].map(value => text(value).padStart(8)).join('')
  console.log(`${each.name.padEnd(44)}${figures}  ${each.unit}, goal ${each.goal}`)
}

const manyName = (count: number) => `${count} volumes lose a peer`

async function measureStalls(world: FaultWorld): Promise<void> {
  const protocol = options.protocol === 'iscsi' ? 'iscsi' : 'nbd'
  for (const each of STALL_CASES.filter(({ name }) => isWanted(name))) {
    const values: number[] = []
    for (const _ of rounds) values.push(await measureStall(world, each, VOLUME, protocol))
    show({ name: each.name, goal: `${each.goalMs}`, values, unit: 'ms' })
  }
}

async function measureResyncs(world: FaultWorld): Promise<void> {
  const record = (name: string, found: readonly ResyncCost[]) => {
    costs.push(...found.map(cost => ({ name, ...cost })))
    const values = found.map(({ wireBytes, missedBytes }) => (wireBytes - MB) / missedBytes)
    show({ name: `${name}, less 1 MB`, goal: `${RESYNC_FACTOR_GOAL}`, values, unit: 'bytes for one missed' })
  }
  for (const each of RESYNCS.filter(({ name }) => isWanted(`resync of ${name}`))) {
    const found: ResyncCost[] = []
    for (const _ of rounds) found.push(await measureResync(world, VOLUME, each))
    record(`resync of ${each.name}`, found)
  }
  const interrupted = 'resync of 8 MiB, killed ten times'
  if (isWanted(interrupted))
    record(interrupted, [await measureInterruptedResync(world, VOLUME, 2048, Date.now())])
}

async function measureMany(world: FaultWorld): Promise<void> {
  for (const count of options.volumes.split(',').map(Number)) {
    const name = manyName(count)
    if (!isWanted(name)) continue
    const found = await measureManyVolumes(world, count)
    many.push(found)
    const { waitsMs } = found
    const values = waitsMs.length === 0 ? [0] : waitsMs
    show({ name, goal: `${MANY_GOAL_MS}`, values, unit: 'ms' })
    for (const line of describeMany(found, MANY_GOAL_MS)) console.log(`  ${line}`)
  }
}

console.log(`${''.padEnd(44)}${['median', 'least', 'most'].map(head => head.padStart(8)).join('')}`)
{
  await using world = await FaultWorld.create()
  await world.peers.done('a', 'volume', 'create', VOLUME, VOLUME_SIZE, '--replicas', '3')
  await measureStalls(world)
  await measureResyncs(world)
}
// Of their own: who has left again and again is kept waiting.
if (options.volumes.split(',').some(count => isWanted(manyName(Number(count))))) {
  await using world = await FaultWorld.create()
  await measureMany(world)
}
const machine = describeMachine(tmpdir())
console.log(saveResult('faults-', { ...describeCommit(), machine, options, measured, costs, many }))
