import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REGION_BYTES } from '../../src/store/layout.ts'
import { Background, eventually } from '../lib/cluster/background.ts'
import { BrickDisks, brickDisksMissing } from '../lib/cluster/brick-disks.ts'
import { EtcdMembers } from '../lib/cluster/etcd-members.ts'
import { HostNetwork, hostNetworkMissing } from '../lib/cluster/host-network.ts'
import { ISCSI_PORT, NBD_PORT, Peers } from '../lib/cluster/peers.ts'
import { etcdMissing } from '../lib/etcd-server.ts'
import { directoryOfRun, temporaryDirectory } from '../lib/temporary-directory.ts'
import { FAULTS, membersOf, type World } from './faults.ts'
import { type LoadReport, type LoadSettings, seededRandom } from './load.ts'

const HOSTS = ['a', 'b', 'c']
const CLIENT = 'client'
const VOLUME = 'hurt'
type FaultKind = keyof typeof FAULTS
const ALL_FULL: FaultKind = 'all disks full'
const BLOCKS = 64
const VOLUME_BYTES = 1024 ** 3
/** Room for the whole volume. */
const DISK_BYTES = 2 * VOLUME_BYTES
const LOAD = fileURLToPath(new URL('./load-process.ts', import.meta.url))
const SEED = Number(process.env.NEMESIS_SEED ?? 7)
/** By hand for hours: NEMESIS_SECONDS=36000. */
const SECONDS = Number(process.env.NEMESIS_SECONDS ?? 150)
/** By hand: logs and data stay. */
const KEEP = process.env.NEMESIS_KEEP !== undefined
/** Kinds of faults, with commas between; all unless given. */
const ONLY = process.env.NEMESIS_FAULTS?.split(',')
const SETUP_MS = 300_000
const CALM_MS = 3000
const LOAD_END_MS = 90_000
/** Who is hurt again and again rests for up to ten minutes before it is let in: a short run ends before that. */
const IN_SYNC_MS = SECONDS > 150 ? 700_000 : 90_000

const missing = hostNetworkMissing() ?? etcdMissing()
if (missing !== null) console.log(`skipped: nemesis: ${missing}`)
const noDisks = missing ?? brickDisksMissing()
if (noDisks !== null) console.log(`skipped: nemesis: full disks: ${noDisks}`)

describe.skipIf(missing !== null)(`three daemons, three etcd members, seed ${SEED}`, () => {
  let directory: string
  let world: World
  let load: Background | null = null

  beforeAll(async () => {
    directory = (KEEP ? temporaryDirectory : directoryOfRun)('nemesis').path
    const network = await HostNetwork.create([...HOSTS, CLIENT])
    const etcd = new EtcdMembers(network, HOSTS, directory)
    const peers = new Peers(network, etcd, directory)
    const disks = new BrickDisks(peers, directory)
    world = { network, etcd, peers, disks, volume: VOLUME, blocks: BLOCKS, random: seededRandom(SEED) }
    if (noDisks === null) for (const host of HOSTS) await disks.mount(host, DISK_BYTES)
    await etcd.start()
    await peers.init('a')
    for (const host of HOSTS) await peers.join(host)
    await peers.done('a', 'volume', 'create', VOLUME, `${VOLUME_BYTES}`, '--replicas', '3')
  }, SETUP_MS)

  afterAll(async () => {
    await load?.kill()
    await world?.peers.stop()
    await world?.disks.unmount()
    await world?.etcd.stop()
    await world?.network[Symbol.asyncDispose]()
    if (directory !== undefined && !KEEP) {
      await rm(directory, { recursive: true, force: true })
    }
  })

  test(
    'whatever is done to the daemons, the network and etcd, every block holds what it may',
    async () => {
      load = startLoad(world, directory)
      const done: string[] = []
      const end = performance.now() + SECONDS * 1000
      await sleep(CALM_MS)
      const kinds = faultsHere()
      for (let turn = 0; performance.now() < end; turn++) {
        // Each kind once, in an order of the seed's, before any comes again.
        if (turn % kinds.length === 0) shuffle(kinds, world.random)
        const kind = kinds[turn % kinds.length] as FaultKind
        const host = HOSTS[Math.floor(world.random() * HOSTS.length)] as string
        done.push(`${kind} on ${host} at ${new Date().toISOString().slice(11, 23)}`)
        await FAULTS[kind](world, host)
        await everybodyInSync(world, done)
        await sleep(CALM_MS)
      }
      const report = await endOfLoad(load)
      const story = `seed ${SEED}: ${done.join(', ')}\n${JSON.stringify(report.errors, null, 2)}`
      expect(report.violations, story).toEqual([])
      expect(report.writes, story).toBeGreaterThan(100)
      if (done.some(fault => fault.startsWith(ALL_FULL))) expect(report.refused, story).toBeGreaterThan(0)
      console.log(
        `nemesis: ${done.length} faults, ${report.writes} writes, ${report.reads} reads, ${report.unknown} of unknown outcome, ` +
          `${report.refused} without space, longest stall ${report.longestStallMs} ms, seed ${SEED}: ${done.join(', ')}`,
      )
    },
    SECONDS * 1000 + LOAD_END_MS + IN_SYNC_MS + SETUP_MS,
  )
})

function faultsHere(): FaultKind[] {
  const all = Object.keys(FAULTS) as FaultKind[]
  return all.filter(kind => (ONLY?.includes(kind) ?? true) && (noDisks === null || !kind.includes('disk')))
}

function shuffle<T>(list: T[], random: () => number): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[list[i], list[j]] = [list[j] as T, list[i] as T]
  }
}

function startLoad({ network }: World, directory: string): Background {
  const settings: LoadSettings = {
    gateways: HOSTS.map(host => ({
      host: network.address(host),
      nbdPort: NBD_PORT,
      iscsiPort: ISCSI_PORT,
    })),
    volume: VOLUME,
    blocks: BLOCKS,
    freshBlocks: VOLUME_BYTES / REGION_BYTES - 1,
    workers: 6,
    iscsiShare: 0.5,
    seed: SEED,
  }
  const argv = [process.execPath, '--import', 'tsx', LOAD, JSON.stringify(settings)]
  return new Background([...network.on(CLIENT), ...argv], join(directory, 'load.log'))
}

async function endOfLoad(load: Background): Promise<LoadReport> {
  load.signal('SIGTERM')
  const ended = await Promise.race([load.exited.then(() => true), sleep(LOAD_END_MS, false, { ref: false })])
  if (!ended) await load.kill()
  const last = load.logTail(1)
  if (!last.startsWith('{')) throw new Error(`the load ended without a report:\n${load.logTail()}`)
  return JSON.parse(last) as LoadReport
}

/** What was hurt has come back: nothing is out of any in-sync set. */
async function everybodyInSync(world: World, done: readonly string[]): Promise<void> {
  await eventually(`all bricks are in sync after ${done.at(-1)} (seed ${SEED})`, IN_SYNC_MS, async () => {
    const behind = (await membersOf(world)).filter(({ state }) => state !== 'in sync')
    if (behind.length > 0) throw new Error(JSON.stringify(behind))
  })
}
