import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultWorld, HOSTS } from './fault-world.ts'

const SIZE_BYTES = 4 * 1024 * 1024
const BLOCKS = SIZE_BYTES / 4096
const MADE_AT_ONCE = 8
/** Between two writes of one volume: so many writers are to show stalls, not to be a load. */
const PAUSE_MS = 1_000
const SETTLE_MS = 10_000
const WATCH_MS = 20_000

/** Makes volumes through the REST API; answers how long that took. */
export async function makeVolumes(world: FaultWorld, prefix: string, count: number): Promise<number> {
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

/** A peer dies that owns some of the volumes and holds a replica of the others: the longest wait of any volume. */
export async function measureManyVolumes(world: FaultWorld, prefix: string, count: number): Promise<number> {
  const [victim, ...healthy] = HOSTS.toReversed() as [string, ...string[]]
  const volumes = Array.from({ length: count }, (_, at) => `${prefix}${at}`)
  const gateways = healthy.map(host => world.gateway(host))
  const writer = world.writer({ protocol: 'nbd', gateways, volumes, blocks: BLOCKS, pauseMs: PAUSE_MS })
  await using _ending = writer
  await sleep(SETTLE_MS + count * PAUSE_PER_VOLUME_MS)
  const sinceMs = Date.now()
  await world.peers.kill(victim)
  await sleep(WATCH_MS)
  const untilMs = Date.now()
  world.peers.start(victim)
  await world.peers.ready(victim)
  return writer.longestMs(sinceMs, untilMs)
}

/** Each writer connects first. */
const PAUSE_PER_VOLUME_MS = 20
