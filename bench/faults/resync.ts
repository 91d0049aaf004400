import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../test/lib/cluster/background.ts'
import { succeed } from '../../test/lib/programs.ts'
import { seededRandom } from '../../test/nemesis/load.ts'
import type { FaultWorld } from './fault-world.ts'
import type { MissedSettings } from './missed.ts'

const MISSED = fileURLToPath(new URL('./missed.ts', import.meta.url))
const BLOCK_BYTES = 4096
const BASE_MS = 10_000
const KILLS = 10
const OWNERS_MAX = 10
const OWNER_MS = 60_000
const KILL_WITHIN_MS = 1_500

/** What the peer missed, and what passed its interface until it was whole again, both ways. */
export interface ResyncCost {
  readonly missedBytes: number
  readonly wireBytes: number
  readonly ms: number
}

/** `scattered`: single blocks all over the volume; else one run. */
export async function measureResync(
  world: FaultWorld,
  volume: string,
  what: { readonly blocks: number; readonly scattered: boolean },
): Promise<ResyncCost> {
  const { victim, gateway } = await absent(world, volume)
  await missed(world, { gateway, volume, ...what, round: contents(), verify: false })
  const before = await world.wireBytes(victim)
  const beganMs = Date.now()
  await back(world, victim, volume)
  const ms = Date.now() - beganMs
  const wireBytes = (await world.wireBytes(victim)) - before - (await idleBytes(world, victim, ms))
  return { missedBytes: what.blocks * BLOCK_BYTES, wireBytes, ms }
}

/** The peer is killed at ten random moments of its return. All that was written must be there, read from that peer. */
export async function measureInterruptedResync(
  world: FaultWorld,
  volume: string,
  blocks: number,
  seed: number,
): Promise<ResyncCost> {
  const random = seededRandom(seed)
  const { victim, gateway } = await absent(world, volume)
  const settings = { gateway, volume, blocks, scattered: true, round: contents() }
  await missed(world, { ...settings, verify: false })
  const before = await world.wireBytes(victim)
  const beganMs = Date.now()
  for (let kill = 0; kill < KILLS; kill++) {
    world.peers.start(victim)
    await world.peers.ready(victim)
    await sleep(random() * KILL_WITHIN_MS)
    await world.peers.kill(victim)
  }
  await back(world, victim, volume)
  const ms = Date.now() - beganMs
  const wireBytes = (await world.wireBytes(victim)) - before - (await idleBytes(world, victim, ms))
  await makeOwner(world, victim, volume)
  await missed(world, { ...settings, gateway: world.gateway(victim), verify: true })
  return { missedBytes: blocks * BLOCK_BYTES, wireBytes, ms }
}

/** Other contents each time, in 32 bits. */
const contents = () => (Date.now() % 2 ** 31) + 1

/** The owner dies: nobody is more likely to own the volume again when another one has died later. */
async function absent(world: FaultWorld, volume: string) {
  await world.whole(volume)
  const victim = await world.ownerOf(volume)
  await world.peers.kill(victim)
  const owner = await eventually(`${volume} has another owner`, OWNER_MS, async () => {
    const { owner: next } = (await world.shown(volume)).replication
    if (next === null || next === victim) throw new Error(`${next} owns it`)
    return next
  })
  return { victim, gateway: world.gateway(owner) }
}

async function back(world: FaultWorld, victim: string, volume: string): Promise<void> {
  world.peers.start(victim)
  await world.peers.ready(victim)
  await world.whole(volume)
}

/** Whoever owns it instead dies, until the victim does: then reads are its brick's. */
async function makeOwner(world: FaultWorld, victim: string, volume: string): Promise<void> {
  for (let attempt = 0; attempt < OWNERS_MAX; attempt++) {
    const owner = await world.ownerOf(volume)
    if (owner === victim) return
    await world.peers.kill(owner)
    await sleep(BASE_MS)
    world.peers.start(owner)
    await world.peers.ready(owner)
    await world.whole(volume)
  }
  throw new Error(`${victim} does not become the owner`)
}

/** What heartbeats and watches cost in `ms`, measured when nothing else goes on. */
async function idleBytes(world: FaultWorld, host: string, ms: number): Promise<number> {
  const before = await world.wireBytes(host)
  await sleep(BASE_MS)
  return (((await world.wireBytes(host)) - before) * ms) / BASE_MS
}

async function missed(world: FaultWorld, settings: MissedSettings): Promise<void> {
  const argv = [process.execPath, '--import', 'tsx', MISSED, JSON.stringify(settings)]
  const [program, ...args] = [...world.network.on('client'), ...argv]
  await succeed(program as string, args, { timeoutMs: 120_000 })
}
