import { setTimeout as sleep } from 'node:timers/promises'
import { type FaultWorld, HOSTS } from './fault-world.ts'

const CALM_MS = 4_000
/** Stalls that begin within this time of the fault are the fault's. */
const WATCH_MS = 20_000
const VOLUME_BLOCKS = 16_384

interface StallCase {
  readonly name: string
  readonly goalMs: number
  /** Which host is hurt. */
  readonly victim: 'owner' | 'replica'
  /** Which portal the client is at first. */
  readonly portal: 'victim' | 'other'
  hurt(world: FaultWorld, host: string): Promise<() => Promise<void>>
}

async function kill(world: FaultWorld, host: string): Promise<() => Promise<void>> {
  await world.peers.kill(host)
  return async () => {
    world.peers.start(host)
    await world.peers.ready(host)
  }
}

async function hang(world: FaultWorld, host: string): Promise<() => Promise<void>> {
  world.peers.signal(host, 'SIGSTOP')
  return async () => world.peers.signal(host, 'SIGCONT')
}

async function cut(world: FaultWorld, host: string): Promise<() => Promise<void>> {
  await world.network.cut(host)
  return () => world.network.heal(host)
}

async function killWithLeader(world: FaultWorld, host: string): Promise<() => Promise<void>> {
  const leader = await world.etcdLeader()
  const [comesBack] = await Promise.all([kill(world, host), world.etcd.killMember(leader)])
  return async () => {
    world.etcd.startMember(leader)
    await world.etcd.healthy(leader)
    await comesBack()
  }
}

export const STALL_CASES: readonly StallCase[] = [
  { name: 'replica killed', goalMs: 1000, victim: 'replica', portal: 'other', hurt: kill },
  { name: 'replica hung', goalMs: 5000, victim: 'replica', portal: 'other', hurt: hang },
  { name: 'replica cut off', goalMs: 5000, victim: 'replica', portal: 'other', hurt: cut },
  { name: 'owner killed', goalMs: 5000, victim: 'owner', portal: 'other', hurt: kill },
  { name: 'owner killed, client there', goalMs: 5000, victim: 'owner', portal: 'victim', hurt: kill },
  { name: 'owner hung', goalMs: 5000, victim: 'owner', portal: 'other', hurt: hang },
  { name: 'owner cut off', goalMs: 5000, victim: 'owner', portal: 'other', hurt: cut },
  {
    name: 'owner and etcd leader killed',
    goalMs: 5000,
    victim: 'owner',
    portal: 'other',
    hurt: killWithLeader,
  },
]

let measured = 0

/** The longest stall of a client that writes all the time, from the fault on. */
export async function measureStall(
  world: FaultWorld,
  { victim, portal, hurt }: StallCase,
  volume: string,
  protocol: 'nbd' | 'iscsi',
): Promise<number> {
  await world.whole(volume)
  const owner = await world.ownerOf(volume)
  const others = HOSTS.filter(host => host !== owner)
  // One that leaves again and again is let in less and less often.
  const replica = others[measured++ % others.length] as string
  const hurtHost = victim === 'owner' ? owner : replica
  const healthy = HOSTS.filter(host => host !== hurtHost)
  // A replica's death is seen from the owner's portal, an owner's from another one.
  const first = portal === 'victim' ? hurtHost : victim === 'owner' ? (healthy[0] as string) : owner
  const gateways = [first, ...healthy.filter(host => host !== first)].map(host => world.gateway(host))
  await using writer = world.writer({
    protocol,
    gateways,
    volumes: [volume],
    blocks: VOLUME_BLOCKS,
    pauseMs: 0,
  })
  await sleep(CALM_MS)
  const sinceMs = Date.now()
  const heal = await hurt(world, hurtHost)
  await sleep(WATCH_MS)
  const untilMs = Date.now()
  await heal()
  await world.whole(volume)
  return writer.longestMs(sinceMs, untilMs)
}
