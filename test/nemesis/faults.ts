import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { slotDataAt } from '../../src/store/layout.ts'
import { eventually } from '../lib/cluster/background.ts'
import type { BrickDisks } from '../lib/cluster/brick-disks.ts'
import type { EtcdMembers } from '../lib/cluster/etcd-members.ts'
import type { HostNetwork } from '../lib/cluster/host-network.ts'
import type { Peers } from '../lib/cluster/peers.ts'
import { BLOCK_BYTES } from './block-content.ts'

export interface World {
  readonly network: HostNetwork
  readonly etcd: EtcdMembers
  readonly peers: Peers
  readonly disks: BrickDisks
  readonly volume: string
  readonly blocks: number
  readonly random: () => number
}

/** Hurts one host for a while and makes it whole again. */
export type Fault = (world: World, host: string) => Promise<void>

const HURT_MS = 7000
const LEAVES_MS = 30_000

async function restart({ peers }: World, host: string): Promise<void> {
  peers.start(host)
  await peers.ready(host)
}

async function pauseFor(world: World, host: string, ms: number): Promise<void> {
  world.peers.signal(host, 'SIGSTOP')
  await sleep(ms)
  world.peers.signal(host, 'SIGCONT')
}

/** The first extent of the test's volume is the first slot of the brick's first data file. */
function flipBit(world: World, host: string): void {
  const file = openSync(join(world.peers.dataOf(host), host, 'data-0000'), 'r+')
  try {
    const at = slotDataAt(0) + Math.floor(world.random() * world.blocks * BLOCK_BYTES)
    const byte = Buffer.alloc(1)
    readSync(file, byte, 0, 1, at)
    byte[0]! ^= 1 << Math.floor(world.random() * 8)
    writeSync(file, byte, 0, 1, at)
  } finally {
    closeSync(file)
  }
}

/** The members of the volume's sets, as the daemons show them. */
export async function membersOf({ peers, volume }: World): Promise<Member[]> {
  const host = peers.running[0] as string
  const { replication } = await peers.json<Shown>(host, 'volume', 'show', volume)
  return [...replication.members]
}

interface Member {
  readonly peer: string
  readonly state: string
}

interface Shown {
  readonly replication: { readonly members: readonly Member[] }
}

export const FAULTS = {
  async killed(world, host) {
    await world.peers.kill(host)
    await sleep(HURT_MS)
    await restart(world, host)
  },
  async 'killed and back at once'(world, host) {
    await world.peers.kill(host)
    await restart(world, host)
  },
  paused: (world, host) => pauseFor(world, host, HURT_MS),
  'paused for a moment': (world, host) => pauseFor(world, host, 1500),
  async 'link cut'(world, host) {
    await world.network.cut(host)
    await sleep(HURT_MS)
    await world.network.heal(host)
  },
  async 'deaf to nobody, heard by nobody'(world, host) {
    await world.network.cutOutgoing(host)
    await sleep(HURT_MS)
    await world.network.heal(host)
  },
  async 'etcd member killed'(world, host) {
    await world.etcd.killMember(host)
    await sleep(HURT_MS)
    world.etcd.startMember(host)
    await world.etcd.healthy(host)
  },
  async 'etcd member hung'(world, host) {
    world.etcd.signalMember(host, 'SIGSTOP')
    await sleep(HURT_MS)
    world.etcd.signalMember(host, 'SIGCONT')
  },
  async 'machine gone: etcd and daemon killed'(world, host) {
    await Promise.all([world.peers.kill(host), world.etcd.killMember(host)])
    await sleep(HURT_MS)
    world.etcd.startMember(host)
    await world.etcd.healthy(host)
    await restart(world, host)
  },
  async 'bits flipped in the brick'(world, host) {
    for (let i = 0; i < 4; i++) flipBit(world, host)
    await sleep(1000)
  },
  async 'disk full'(world, host) {
    await world.disks.fill(host)
    await eventually(`the full brick of ${host} leaves`, LEAVES_MS, async () => {
      const members = await membersOf(world)
      if (members.find(({ peer }) => peer === host)?.state === 'in sync')
        throw new Error(JSON.stringify(members))
    })
    world.disks.makeRoom(host)
  },
  async 'killed while its disk is full'(world, host) {
    await world.disks.fill(host)
    await world.peers.kill(host)
    await restart(world, host)
    await sleep(HURT_MS)
    world.disks.makeRoom(host)
  },
  /** One may leave, not two: writes that need more space are refused, the others go on. */
  async 'all disks full'(world) {
    for (const host of world.peers.running) await world.disks.fill(host)
    await sleep(HURT_MS)
    for (const host of world.peers.running) world.disks.makeRoom(host)
  },
} satisfies Record<string, Fault>
