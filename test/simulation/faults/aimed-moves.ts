import { decodeValue, keys } from '../../../src/control/layout.ts'
import { PeerRequestKind } from '../../../src/replication/peer-network.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { EtcdTrouble } from '../etcd/sim-etcd-client.ts'
import type { AimedFault } from './aimed.ts'
import { type Aim, atNextRequest, cut, ownerOf, restart, type Target } from './moments.ts'

/** Owners look for what is wanted every few seconds, and copy before they move anything. */
const PATIENCE_MS = 15_000

/** A transaction that changes who has some range, on its way. */
interface Move {
  readonly trouble: EtcdTrouble
  readonly owner: SimPeer
  readonly joiner: SimPeer | null
  readonly leaver: SimPeer | null
}

/** Faults that aim at what moves, where operators change the layout. */
export const LAYOUT_FAULTS = {
  /** A move is committed, and its owner does not hear of it. */
  moveUnanswered: (aim, target) => {
    const { random, later } = aim
    atNextMove(aim, target, ({ trouble }) => {
      aim.struck(target.volume.name)
      Object.assign(trouble, { answerLoss: 1, watchLagMs: 9_000 })
      later(random.between(1_500, 3_000), () => Object.assign(trouble, { answerLoss: 0 }))
      later(random.between(3_000, 7_000), () => Object.assign(trouble, { watchLagMs: 5 }))
    })
  },
  /** The owner, or who joins, is gone around the transaction of a move. */
  moverGone: (aim, target) => {
    const { random, later } = aim
    atNextMove(aim, target, ({ owner, joiner }) => {
      const peer = random.chance(0.5) ? owner : (joiner ?? owner)
      aim.struck(peer.machine.name)
      const afterMs = random.pick([0, random.between(0, 6), random.between(0, 60)])
      const isPower = random.chance(0.5)
      later(afterMs, () => (isPower ? peer.losePower() : restart(aim, peer, random.between(30, 3_000))))
      if (isPower) later(afterMs + random.between(500, 4_000), () => peer.powerOn())
    })
  },
  /** Who leaves is cut off before it hears of it, and the owner goes to it: it answers, and is no member. */
  leaverCutOff: (aim, target) => {
    const { random, world, later } = aim
    atNextMove(aim, target, ({ owner, leaver }) => {
      if (leaver === null) return
      aim.struck(leaver.machine.name)
      for (const other of world.peers) if (other !== leaver) cut(world, leaver, other)
      later(random.between(50, 1_500), () => restart(aim, owner, random.between(50, 2_000)))
      later(random.between(2_000, 6_000), () => world.network.heal())
    })
  },
  /** While one leaves, or is about to, another member dies. */
  memberLostAtMove: (aim, target) => {
    const { random, world, later } = aim
    atNextMove(aim, target, ({ owner, joiner, leaver }) => {
      const rest = world.peers.filter(
        peer => peer.isRunning && peer !== owner && peer !== joiner && peer !== leaver,
      )
      if (rest.length === 0) return
      const victim = random.pick(rest)
      aim.struck(victim.machine.name)
      later(random.between(0, 5), () => victim.kill(random.chance(0.5)))
      later(random.between(1_500, 5_000), () => victim.start())
    })
  },
  /** The owner goes in the middle of a copy. */
  ownerGoneInCopy: (aim, target) => {
    const { random, later } = aim
    atNextRequest(
      aim,
      () => {
        const owner = ownerOf(aim.world, target.volume)
        if (owner === null) return
        aim.struck(owner.machine.name)
        later(random.between(0, 20), () => restart(aim, owner, random.between(30, 2_000)))
      },
      (_connection, { kind, volume }) => kind === PeerRequestKind.copyIn && volume === target.volume.uuid,
    )
  },
} satisfies Record<string, AimedFault>

export type LayoutFaultKind = keyof typeof LAYOUT_FAULTS
export const LAYOUT_FAULT_KINDS = Object.keys(LAYOUT_FAULTS) as LayoutFaultKind[]

/** Strikes when an owner is about to send a transaction that gives a range to others. */
function atNextMove(aim: Aim, { volume }: Target, strike: (move: Move) => void): void {
  const { etcd, loop, judge, peers } = aim.world
  const pages = keys.pages(volume.name)
  const tap: Parameters<typeof etcd.taps.add>[0] = (trouble, { success }) => {
    const put = success.find(operation => operation.do === 'put' && operation.key.startsWith(pages))
    const before = judge.view(volume)
    const owner = ownerOf(aim.world, volume)
    if (aim.isOver() || put?.do !== 'put' || before === undefined || owner === null) return
    const { ranges } = decodeValue('placement', put.key, Buffer.from(put.value))
    const was = before.placed.map(bricks => peers.filter(({ disk }) => bricks.includes(disk.uuid)))
    const range = was.findIndex((had, i) => ranges[i]?.join() !== had.map(({ number }) => number).join())
    if (range < 0 || ranges.length > was.length) return
    const now = ranges[range] ?? []
    etcd.taps.delete(tap)
    strike({
      trouble,
      owner,
      joiner: peers.find(peer => now.includes(peer.number) && !was[range]!.includes(peer)) ?? null,
      leaver: was[range]!.find(({ number }) => !now.includes(number)) ?? null,
    })
  }
  etcd.taps.add(tap)
  loop.after(PATIENCE_MS, () => etcd.taps.delete(tap))
}
