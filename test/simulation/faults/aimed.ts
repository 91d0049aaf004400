import { PeerRequestKind } from '../../../src/replication/peer-network.ts'
import { BLOCK_BYTES, SEGMENT_BYTES } from '../brick/volume-image.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import {
  type Aim,
  aimAtVolume,
  atNextEpoch,
  atNextRequest,
  atNextSetChange,
  atNextWrite,
  cut,
  ownerOf,
  restart,
  revokeOwner,
  type Target,
  tellPaths,
} from './moments.ts'

export type AimedFault = (aim: Aim, target: Target) => void

/** A member without an answer is removed after this, and a connection that was cut is given up later still. */
const EJECTED_MS = 1_300
const OWNER_GONE_MS = 3_000
const WRITES_END_MS = 120
const HOT_BLOCKS = 6

/** Faults that wait for the moment at which they matter most, by the name under which a run counts them. */
export const AIMED_FAULTS = {
  /** A write hangs in one member's disk while its owner goes away. */
  writeHangs: (aim, target) => {
    const { random, world } = aim
    const victim = random.pick(target.others)
    atNextWrite(aim, target, victim, () => {
      aim.struck(`on ${victim.machine.name}`)
      victim.disk.trouble.nextWriteMs = random.between(2_600, 6_000)
      world.loop.after(random.between(1, 40), () => loseOwner(aim, target))
    })
  },
  /** A write reaches some members; its bytes for another wait in the wire, its owner goes, others restart. */
  writeHalfSent: (aim, target) => {
    const { random, world, later } = aim
    const victim = random.pick(target.others)
    atNextWrite(aim, target, victim, () => {
      aim.struck(`not to ${victim.machine.name}`)
      world.network.block(target.owner.number, victim.number)
      tellPaths(world)
      const afterMs = random.between(0, 1_200)
      later(afterMs, () => loseOwner(aim, target))
      if (random.chance(0.6)) {
        for (const other of target.others)
          if (other !== victim) later(afterMs + random.between(-5, 100), () => restart(aim, other, 60))
      }
      later(random.between(1_500, 8_000), () => world.network.heal())
    })
  },
  /** A connection breaks with a write in it that arrives later, beside the next connection. */
  writeArrivesLate: (aim, target) => {
    const { random, world } = aim
    const victim = random.pick(target.others)
    atNextWrite(aim, target, victim, connection => {
      aim.struck(`at ${victim.machine.name}`)
      connection.stall(random.between(500, 2_500))
      world.loop.after(random.between(0, 5), () => connection.link.reset())
    })
  },
  /** A member is cut off and removed; what its owner had sent it arrives when it is about to come back. */
  zombieWrites: (aim, target) => {
    const { random, world, later } = aim
    const { owner } = target
    const victim = random.pick(target.others)
    atNextWrite(aim, target, victim, () => {
      aim.struck(`${owner.machine.name} to ${victim.machine.name}`)
      cut(world, owner, victim)
      later(EJECTED_MS + random.between(0, 300), () => restart(aim, owner, random.between(20, 300)))
      later(EJECTED_MS + random.between(2_500, 6_000), () => world.network.heal())
    })
  },
  /** The transaction that changes a set is committed, and its owner does not hear of it for long. */
  setChangeUnanswered: (aim, target) => {
    const { random, later } = aim
    const isJoin = random.chance(0.7)
    provokeJoin(aim, target)
    const isMeant = (now: { out: readonly unknown[] }, wanted: { out: readonly unknown[] }) =>
      isJoin ? wanted.out.length < now.out.length : wanted.out.length > now.out.length
    atNextSetChange(aim, target.volume, isMeant, trouble => {
      aim.struck(isJoin ? 'a join' : 'a leave')
      Object.assign(trouble, { answerLoss: 1, watchLagMs: 9_000 })
      later(random.between(2_000, 3_000), () => Object.assign(trouble, { answerLoss: 0 }))
      later(random.between(3_000, 7_000), () => Object.assign(trouble, { watchLagMs: 5 }))
    })
  },
  /** A joiner, or the owner that let it join, loses power around the transaction that makes it a member. */
  powerLossAtJoin: (aim, target) => {
    const { random, world, later } = aim
    const victim = provokeJoin(aim, target)
    atNextSetChange(
      aim,
      target.volume,
      (now, wanted) => wanted.out.length < now.out.length,
      () => {
        const peer = random.chance(0.7) ? victim : (ownerOf(world, target.volume) ?? victim)
        aim.struck(peer.machine.name)
        const afterMs = random.pick([0, random.between(0, 6), random.between(0, 40)])
        later(afterMs, () => peer.losePower())
        later(random.between(500, 4_000), () => peer.powerOn())
      },
    )
  },
  /** All who have promised reads to an owner that is cut off restart at once. */
  grantsForgotten: (aim, target) => {
    const { random, world, later } = aim
    const { owner } = target
    const isRenewal = (body: unknown) => (body as { what?: string } | null)?.what === 'renew'
    atNextRequest(
      aim,
      () => {
        later(random.between(1, 5), () => {
          aim.struck(`by ${target.others.map(({ machine }) => machine.name).join(' ')}`)
          isolate(aim, target, random.between(3_000, 6_000))
          for (const other of world.peers) if (other !== owner) restart(aim, other, random.between(10, 60))
        })
      },
      (connection, request) =>
        request.kind === PeerRequestKind.control &&
        connection.link.node === owner.parts?.node &&
        isRenewal(request.body),
    )
  },
  /** An owner is cut off from everybody but clients that only read, and others go on without it. */
  ownerReadsOn: (aim, target) => {
    const { random, world, later } = aim
    const { owner, volume } = target
    const clients = world.clients.filter(client => client.volume === volume)
    // What is locked cannot be read: their writes end first.
    for (const client of clients) client.onlyReads(true)
    later(WRITES_END_MS, () => {
      aim.struck(`${owner.machine.name} of ${volume.name}`)
      isolate(aim, target, random.between(5_000, 8_000))
      for (const [i, client] of clients.entries()) {
        if (i % 2 === 0) continue
        client.onlyReads(false)
        client.avoids = owner
        client.move()
      }
    })
    world.loop.after(8_000, () => {
      for (const client of clients) {
        client.onlyReads(false)
        client.avoids = null
      }
    })
  },
  /** Members differ, and the owner that is making them alike goes before it is done. */
  reconcileInterrupted: (aim, target) => {
    const { random, world, later } = aim
    const { owner, volume } = target
    const victim = random.pick(target.others)
    atNextWrite(aim, target, victim, () => {
      world.network.block(owner.number, victim.number)
      tellPaths(world)
      later(random.between(0.5, 3), () => owner.kill(true))
      later(2 * OWNER_GONE_MS + random.between(0, 4_000), () => owner.start())
      later(OWNER_GONE_MS, () => world.network.heal())
      atNextEpoch(aim, volume, () => {
        const next = ownerOf(world, volume)
        if (next === null) return
        aim.struck(`of ${volume.name} by ${next.machine.name}`)
        for (const peer of world.peers) peer.disk.trouble.slowMs = random.between(40, 150)
        later(random.between(1, 30), () => {
          if (random.chance(0.5)) revokeOwner(world, volume, 0)
          void next.daemon?.release(volume.name).catch(() => undefined)
        })
        later(1_000, () => {
          for (const peer of world.peers) peer.disk.trouble.slowMs = 0
        })
      })
    })
  },
  /** Everybody but one member loses power in the middle of writes. */
  powerLossOfMost: (aim, target) => {
    const { random, world, later } = aim
    const survivor = random.pick(target.others)
    atNextWrite(aim, target, survivor, () => {
      aim.struck(`but ${survivor.machine.name}`)
      later(random.between(0, 15), () => {
        for (const peer of world.peers) {
          if (peer === survivor) continue
          peer.losePower()
          later(random.between(50, 2_500), () => peer.powerOn())
        }
      })
    })
  },
  /** Etcd forgets the owner and elects a leader: all who want to follow it ask at the same time. */
  electionAtTakeover: (aim, { volume, owner }) => {
    const { random, world } = aim
    const ms = random.between(700, 1_900)
    aim.struck(`${owner.machine.name} of ${volume.name}, ${ms.toFixed(0)} ms`)
    revokeOwner(world, volume, 0)
    world.loop.after(random.between(0, 250), () => world.etcd.elect(ms))
  },
  /** Segments are to be cleared while a write is on its way in them, and the owner restarts. */
  clearedUnderWrites: (aim, target) => {
    const { random, world, later } = aim
    const { owner, others, volume } = target
    atNextWrite(aim, target, random.pick(others), () => {
      aim.struck(volume.name)
      for (const other of others) world.network.block(owner.number, other.number)
      tellPaths(world)
      later(1, () => void owner.daemon?.clearSegments(volume.name, 0).catch(() => undefined))
      later(random.between(25, 200), () => restart(aim, owner, random.between(20, 200)))
      later(random.between(250, 2_000), () => world.network.heal())
    })
  },
  /** A member misses the first write into a segment that is clean on it, and is removed. */
  firstWriteMissed: (aim, target) => {
    const { random, world, later } = aim
    const { owner, volume } = target
    const victim = random.pick(target.others)
    const image = victim.disk.images.get(volume.uuid)
    void owner.daemon?.clearSegments(volume.name, 0).catch(() => undefined)
    const isFirst = ({ offsetBytes }: { offsetBytes: number }) =>
      image?.active.has(Math.floor(offsetBytes / SEGMENT_BYTES)) === false
    const strike = () => {
      aim.struck(`by ${victim.machine.name}`)
      cut(world, owner, victim)
      later(random.between(2_000, 5_000), () => world.network.heal())
    }
    atNextWrite(aim, target, victim, strike, isFirst)
  },
  /** Blocks rot that are read and written all the time, on the member that is read first. */
  rotUnderWrites: (aim, { volume, owner, others }) => {
    const { random, world, later } = aim
    const image = owner.disk.images.get(volume.uuid)
    if (image === undefined) return
    const isWhole = (block: number) =>
      others.length >= 2 && others.every(peer => peer.disk.images.get(volume.uuid)?.verified(block) != null)
    const present = new Set(image.presentBlocks())
    const hot = volume.blocks.slice(0, HOT_BLOCKS).filter(block => present.has(block) && isWhole(block))
    const rotten = hot.filter(block => image.rot(block, random.below(BLOCK_BYTES * 8)))
    if (rotten.length === 0) return
    for (const block of rotten) world.judge.rotted(volume, block)
    aim.struck(`blocks ${rotten.join(' ')} on ${owner.machine.name}`)
    const { weather } = world.network
    const before = { ...weather }
    Object.assign(weather, { maxDelayMs: random.between(5, 30) })
    later(1_500, () => Object.assign(weather, before))
  },
} satisfies Record<string, AimedFault>

export type AimedFaultKind = keyof typeof AIMED_FAULTS
export const AIMED_FAULT_KINDS = Object.keys(AIMED_FAULTS) as AimedFaultKind[]

/** Arms one; without a volume that is served there is nothing to aim at. */
export function aimFault(fault: AimedFault, aim: Aim): void {
  const target = aimAtVolume(aim)
  if (target !== null) fault(aim, target)
}

/** The owner dies, loses power or is deposed without hearing of it. */
function loseOwner(aim: Aim, target: Target): void {
  const { random, world, later } = aim
  const { owner, volume } = target
  if (!owner.isRunning) return
  const how = random.weighted([4, 2, 3])
  if (how === 0) restart(aim, owner, random.pick([random.between(30, 300), random.between(3_000, 8_000)]))
  else if (how === 1) {
    owner.losePower()
    later(random.between(800, 6_000), () => owner.powerOn())
  } else {
    const entry = owner.parts?.etcd
    if (entry !== undefined) entry.trouble.watchLagMs = 4_000
    revokeOwner(world, volume, random.between(0, 3_000))
    later(4_000, () => entry?.calmDown())
  }
}

/** The owner hears no peer, no peer hears it, and of what etcd knows it learns late, or nothing. */
function isolate({ world, random, later }: Aim, { owner, volume }: Target, ms: number): void {
  if (owner.parts === null) return
  const { etcd } = owner.parts
  if (random.chance(0.7)) etcd.trouble.cut = true
  else etcd.trouble.watchLagMs = ms
  revokeOwner(world, volume, random.between(2_000, ms))
  for (const other of world.peers) if (other !== owner) cut(world, owner, other)
  later(ms, () => {
    world.network.heal()
    etcd.calmDown()
  })
}

/** A member is killed, removed, and comes back to an owner that brings it in at once. */
function provokeJoin(aim: Aim, { owner, volume, others }: Target): SimPeer {
  const { random, later } = aim
  const victim = random.pick(others)
  victim.kill()
  later(EJECTED_MS, () => victim.start())
  later(EJECTED_MS + random.between(50, 300), () => {
    void owner.daemon?.release(volume.name).catch(() => undefined)
  })
  return victim
}
