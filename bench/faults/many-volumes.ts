import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../test/lib/cluster/background.ts'
import { cpuSecondsOf, residentBytes } from '../machine.ts'
import { type FaultWorld, HOSTS } from './fault-world.ts'

const SIZE_BYTES = 4 * 1024 * 1024
const BLOCKS = SIZE_BYTES / 4096
const MADE_AT_ONCE = 8
/** Between two writes of one volume: so many writers are to show stalls, not to be a load. */
const PAUSE_MS = 1_000
const SETTLE_MS = 10_000
/** Each writer connects first. */
const SETTLE_PER_VOLUME_MS = 20
const IDLE_MS = 10_000
const WATCH_MS = 20_000
const WHOLE_MS = 300_000

export interface ManyVolumes {
  readonly volumes: number
  readonly madeMs: number
  /** Each of the daemons, while no client is there. */
  readonly idle: readonly { readonly residentBytes: number; readonly cpuShare: number }[]
  /** Of etcd's leader, while no client is there: changes of keys, and bytes that its host sends and receives. */
  readonly etcdPutsPerSecond: number
  readonly etcdBytesPerSecond: number
  /**
   * Longest wait of each volume for an acknowledgement from the death of a peer on, in ascending order; infinite where
   * none came while it was watched.
   */
  readonly waitsMs: readonly number[]
  /** From the start of the peer that had died to its answer, and until all volumes have all replicas in sync. */
  readonly startMs: number
  /** Infinite when that took longer than WHOLE_MS. */
  readonly wholeMs: number
}

/** Makes volumes, leaves them idle, loses a peer that owns some and holds a replica of all, and has it back. */
export async function measureManyVolumes(world: FaultWorld, count: number): Promise<ManyVolumes> {
  const prefix = `many-${count}-`
  const madeMs = await makeVolumes(world, prefix, count)
  await sleep(SETTLE_MS)
  const idle = await measureIdle(world)
  const [victim, ...healthy] = HOSTS.toReversed() as [string, ...string[]]
  const volumes = Array.from({ length: count }, (_, at) => `${prefix}${at}`)
  const gateways = healthy.map(host => world.gateway(host))
  const writer = world.writer({ protocol: 'nbd', gateways, volumes, blocks: BLOCKS, pauseMs: PAUSE_MS })
  await sleep(SETTLE_MS + count * SETTLE_PER_VOLUME_MS)
  const sinceMs = Date.now()
  await world.peers.kill(victim)
  await sleep(WATCH_MS)
  const untilMs = Date.now()
  // It tells of what still waits; that it does not end because of that is no news.
  await writer[Symbol.asyncDispose]().catch(() => {})
  const waitsMs = [...writer.waitsMs(sinceMs, untilMs).values()].toSorted((a, b) => a - b)
  const startedMs = Date.now()
  world.peers.start(victim)
  await world.peers.ready(victim)
  const startMs = Date.now() - startedMs
  const becameWhole = await allWhole(world).then(
    () => true,
    () => false,
  )
  const wholeMs = becameWhole ? Date.now() - startedMs : Number.POSITIVE_INFINITY
  return { volumes: count, madeMs, ...idle, waitsMs, startMs, wholeMs }
}

/** Lines of text; `goalMs`: how long a volume may wait. */
export function describeMany(found: ManyVolumes, goalMs: number): string[] {
  const { waitsMs } = found
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  const part = (of: number) => seconds(waitsMs[Math.floor(waitsMs.length * of)] ?? 0)
  const never = waitsMs.filter(ms => ms === Number.POSITIVE_INFINITY).length
  const late = waitsMs.filter(ms => ms > goalMs).length
  const megabytes = found.idle.map(({ residentBytes: bytes }) => (bytes / 1e6).toFixed(0))
  const shares = found.idle.map(({ cpuShare }) => (cpuShare * 100).toFixed(1))
  return [
    `waited at all: ${waitsMs.length}; half at most ${part(0.5)}, nine in ten ${part(0.9)}; ${late} longer than ${seconds(goalMs)}, ${never} of them to the end`,
    `made in ${seconds(found.madeMs)}; idle: ${megabytes.join(', ')} MB, ${shares.join(', ')} % of a core, ${found.etcdPutsPerSecond.toFixed(1)} keys/s and ${(found.etcdBytesPerSecond / 1000).toFixed(1)} kB/s at etcd's leader`,
    `the peer answers ${seconds(found.startMs)} after its start, all is whole after ${seconds(found.wholeMs)}`,
  ]
}

/** Through the REST API; answers how long that took. */
async function makeVolumes(world: FaultWorld, prefix: string, count: number): Promise<number> {
  const beganMs = Date.now()
  await world.evaluate(
    HOSTS[0] as string,
    `let next = 0
     async function make() {
       while (next < ${count}) {
         const body = JSON.stringify({ name: '${prefix}' + next++, sizeBytes: ${SIZE_BYTES}, replicas: 3 })
         const headers = { 'content-type': 'application/json' }
         const answer = await fetch('http://127.0.0.1:9280/v1/volumes', { method: 'POST', headers, body })
         if (!answer.ok) throw new Error(await answer.text())
       }
     }
     await Promise.all(Array.from({ length: ${MADE_AT_ONCE} }, make))`,
  )
  return Date.now() - beganMs
}

async function measureIdle(
  world: FaultWorld,
): Promise<Pick<ManyVolumes, 'idle' | 'etcdPutsPerSecond' | 'etcdBytesPerSecond'>> {
  const leader = await world.etcdLeader()
  const pids = HOSTS.map(host => world.peers.pidOf(host))
  const look = async () => ({
    atMs: Date.now(),
    cpu: pids.map(pid => cpuSecondsOf([pid])),
    puts: await world.etcdPuts(leader),
    bytes: await world.wireBytes(leader),
  })
  const before = await look()
  await sleep(IDLE_MS)
  const after = await look()
  const seconds = (after.atMs - before.atMs) / 1000
  return {
    idle: pids.map((pid, at) => ({
      residentBytes: residentBytes([pid]).now,
      cpuShare: ((after.cpu[at] as number) - (before.cpu[at] as number)) / seconds,
    })),
    etcdPutsPerSecond: (after.puts - before.puts) / seconds,
    etcdBytesPerSecond: (after.bytes - before.bytes) / seconds,
  }
}

async function allWhole(world: FaultWorld): Promise<void> {
  await eventually('all volumes are whole', WHOLE_MS, async () => {
    const { volumes } = await world.overview()
    if (volumes.degraded + volumes.waiting > 0) throw new Error(JSON.stringify(volumes))
  })
}
