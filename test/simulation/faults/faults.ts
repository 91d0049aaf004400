import { decodeValue, keys, RANGE_BYTES } from '../../../src/control/layout.ts'
import { BLOCK_BYTES } from '../brick/volume-image.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import type { Random } from '../world/random.ts'

/** Mends something later, unless everything was mended before. */
export type Later = (ms: number, mend: () => void) => void
/** Answers what was done, or null when there was nothing to break. */
type Fault = (world: World, random: Random, later: Later) => string | null

const SHORT_MS = [50, 1_500] as const
const LONG_MS = [1_500, 9_000] as const

function duration(random: Random): number {
  const [from, to] = random.chance(0.5) ? SHORT_MS : LONG_MS
  return random.between(from, to)
}

function anyRunning(world: World, random: Random): SimPeer | null {
  const running = world.peers.filter(peer => peer.isRunning)
  return running.length === 0 ? null : random.pick(running)
}

function onPeer(act: (peer: SimPeer, world: World, random: Random, later: Later) => string | null): Fault {
  return (world, random, later) => {
    const peer = anyRunning(world, random)
    return peer === null ? null : act(peer, world, random, later)
  }
}

function losePower(peers: readonly SimPeer[], random: Random, later: Later): string {
  for (const peer of peers) {
    peer.losePower()
    later(random.between(800, 6_000), () => peer.powerOn())
  }
  return peers.map(peer => peer.machine.name).join(' ')
}

function tellPaths(world: World): void {
  for (const node of world.network.nodes()) node.pathsChanged()
}

/** Every kind of fault, by the name under which a run counts it. */
export const FAULTS = {
  kill: onPeer((peer, _world, random, later) => {
    const name = peer.process!.name
    peer.kill()
    later(duration(random), () => peer.start())
    return name
  }),
  powerLoss: onPeer((peer, _world, random, later) => losePower([peer], random, later)),
  powerLossOfAll: (world, random, later) => losePower(world.peers, random, later),
  pause: onPeer((peer, _world, random, later) => {
    const { process } = peer
    const ms = duration(random)
    process!.pause()
    later(ms, () => process!.resume())
    return `${process!.name} for ${ms.toFixed(0)} ms`
  }),
  busyLoop: onPeer((peer, _world, random, later) => {
    const { process } = peer
    const ms = duration(random)
    process!.stall()
    later(ms, () => process!.resume())
    return `${process!.name} for ${ms.toFixed(0)} ms`
  }),
  partition: onPeer((peer, world, random, later) => {
    const cut = world.peers.filter(other => other !== peer && random.chance(0.75))
    for (const other of cut) {
      world.network.block(peer.number, other.number)
      world.network.block(other.number, peer.number)
    }
    if (random.chance(0.4)) peer.parts!.etcd.trouble.cut = true
    later(duration(random), () => {
      world.network.heal()
      for (const other of world.peers) other.parts?.etcd.calmDown()
    })
    tellPaths(world)
    return `${peer.machine.name} from ${cut.map(other => other.machine.name).join(' ')}`
  }),
  oneWayPartition: onPeer((peer, world, random, later) => {
    const other = random.pick(world.peers.filter(one => one !== peer))
    world.network.block(peer.number, other.number)
    tellPaths(world)
    later(duration(random), () => world.network.heal())
    return `${peer.machine.name} is not heard by ${other.machine.name}`
  }),
  connectionReset: onPeer((peer, _world, random) => {
    const links = peer.parts!.node.links().filter(link => link.isUp)
    if (links.length === 0) return null
    const link = random.pick(links)
    link.reset()
    return `${peer.machine.name} to ${link.peerNumber}`
  }),
  slowNetwork: (world, random, later) => {
    const { weather } = world.network
    const before = { ...weather }
    Object.assign(weather, {
      maxDelayMs: random.between(2, 30),
      spikeChance: 0.05,
      spikeMs: random.between(50, 1_500),
    })
    later(duration(random), () => Object.assign(weather, before))
    return `up to ${weather.maxDelayMs.toFixed(0)} ms`
  },
  etcdCut: onPeer((peer, _world, random, later) => {
    const { etcd } = peer.parts!
    etcd.trouble.cut = true
    later(duration(random) * 1.5, () => etcd.calmDown())
    return peer.machine.name
  }),
  etcdAnswersLost: (world, random, later) => {
    const troubles = world.peers.flatMap(peer => peer.parts?.etcd ?? [])
    for (const { trouble } of troubles) Object.assign(trouble, { requestLoss: 0.1, answerLoss: 0.35 })
    later(duration(random), () => {
      for (const etcd of troubles) etcd.calmDown()
    })
    return 'for everybody'
  },
  etcdElection: (world, random) => {
    const ms = random.between(800, 3_200)
    world.etcd.elect(ms)
    return `${ms.toFixed(0)} ms`
  },
  etcdRevokesEarly: (world, random) => {
    const staleMs = random.chance(0.5) ? random.between(500, 5_000) : 0
    return world.etcd.revokeEarly(staleMs) ? `confirmed for ${staleMs.toFixed(0)} ms` : null
  },
  /** Etcd forgets an owner that lives on and hears nothing of it, while its clients go elsewhere one by one. */
  ownerDeposed: (world, random, later) => {
    const volume = random.pick(world.volumes)
    const entry = world.etcd.read(keys.owner(volume.name))
    if (entry === null) return null
    const { number } = decodeValue('owner', entry.key, entry.value)
    const owner = world.peers.find(peer => peer.number === number)
    if (owner?.parts == null) return null
    owner.parts.etcd.trouble.watchLagMs = 5_000
    world.etcd.revokeOf(entry.lease, random.between(0, 4_000))
    for (const other of world.peers) {
      if (other === owner) continue
      if (random.chance(0.7)) world.network.block(other.number, owner.number)
      if (random.chance(0.5)) world.network.block(owner.number, other.number)
      if (random.chance(0.3)) other.disk.trouble.slowMs = random.between(20, 400)
    }
    tellPaths(world)
    for (const client of world.clients) {
      if (random.chance(0.6)) later(random.between(0, 2_500), () => client.move())
    }
    later(random.between(500, 5_000), () => {
      world.network.heal()
      for (const peer of world.peers) {
        peer.disk.trouble.slowMs = 0
        peer.parts?.etcd.calmDown()
      }
    })
    return `${owner.machine.name} of ${volume.name}`
  },
  watchLag: onPeer((peer, _world, random, later) => {
    const { etcd } = peer.parts!
    etcd.trouble.watchLagMs = random.between(200, 3_000)
    later(duration(random) * 2, () => etcd.calmDown())
    return peer.machine.name
  }),
  slowDisk: onPeer((peer, _world, random, later) => {
    peer.disk.trouble.slowMs = random.chance(0.5) ? random.between(5, 60) : random.between(300, 2_500)
    later(duration(random), () => {
      peer.disk.trouble.slowMs = 0
    })
    return `${peer.machine.name} by ${peer.disk.trouble.slowMs.toFixed(0)} ms`
  }),
  fsyncFails: onPeer(peer => {
    peer.disk.trouble.failsNextFsync = true
    return peer.machine.name
  }),
  writeFails: onPeer(peer => {
    peer.disk.trouble.failsNextWrite = true
    return peer.machine.name
  }),
  diskEmptied: onPeer((peer, world, random, later) => {
    // The data of one brick is gone for good: only while everybody else has everything.
    const isWhole = world.volumes.every(volume => {
      const view = world.judge.view(volume)
      if (view === undefined || view.head.out.length > 0) return false
      return view.members.every(set => set.length > view.head.minReplicas)
    })
    if (!isWhole || !world.peers.every(other => other.isReachable)) return null
    peer.kill(true)
    peer.disk.empty()
    later(random.between(50, 2_000), () => peer.start())
    return peer.machine.name
  }),
  diskFull: onPeer((peer, _world, random, later) => {
    peer.disk.trouble.freeRegions = random.below(2)
    later(duration(random), () => {
      peer.disk.trouble.freeRegions = 10_000
    })
    return peer.machine.name
  }),
  bitRot: onPeer((peer, world, random) => {
    const volume = random.pick(world.volumes)
    const image = peer.disk.images.get(volume.uuid)
    if (image === undefined) return null
    const present = image.presentBlocks().filter(block => volume.blocks.includes(block))
    if (present.length === 0) return null
    const block = random.pick(present)
    // Where nobody else verifies, the block is lost: that is no bug, and tells nothing. Who is away may come back cold.
    const range = Math.floor((block * BLOCK_BYTES) / RANGE_BYTES)
    const placed = world.judge.view(volume)?.placed[range] ?? []
    const others = world.peers.filter(other => other.isReachable && placed.includes(other.disk.uuid))
    const copies = others.map(other => other.disk.images.get(volume.uuid)?.verified(block) ?? null)
    if (copies.filter(copy => copy !== null).length < 3) return null
    if (!image.rot(block, random.below(BLOCK_BYTES * 8))) return null
    world.judge.rotted(volume, block)
    return `block ${block} on ${peer.machine.name}`
  }),
  clientMoves: (world, random) => {
    const client = random.pick(world.clients)
    client.move()
    return client.name
  },
  release: onPeer((peer, world, random) => {
    const volume = random.pick(world.volumes)
    void peer.daemon!.release(volume.name).catch(() => undefined)
    return `${volume.name} by ${peer.machine.name}`
  }),
  segmentsCleared: (world, random) => {
    const quietMs = random.pick([0, 5, 50, 500])
    for (const peer of world.peers) {
      for (const volume of world.volumes) {
        void peer.daemon?.clearSegments(volume.name, quietMs).catch(() => undefined)
      }
    }
    return `quiet for ${quietMs} ms`
  },
} satisfies Record<string, Fault>

export type FaultKind = keyof typeof FAULTS
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[]
