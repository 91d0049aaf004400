import { PeerRequestKind } from '../../../src/replication/peer-network.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import { SEGMENT_BYTES } from '../brick/volume-image.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { AimedFault } from './aimed.ts'
import { type Aim, atNextEpoch, atNextRequest, ownerOf, revokeOwner, type Target } from './moments.ts'

const BLOCK_ERASE: SanitizeOrder = {
  method: 'blockErase',
  pattern: Buffer.alloc(0),
  passes: 1,
  inverts: false,
  unrestrictedExit: false,
}
const AGAIN_CHANCE = 0.5
const WIRE_MS = 0.3

/** A host sends SANITIZE by some daemon, by the owner's where there are no gateways. Whoever goes may take the answer along. */
function sanitize({ world, random }: Aim, { owner, volume }: Target): void {
  const judge = world.sanitizes
  const running = world.peers.filter(({ isRunning, daemon }) => isRunning && daemon !== null)
  const peer = world.shape.gateways ? random.pick(running) : owner
  const { process, daemon } = peer
  if (judge === null || daemon === null) return
  const attempt = judge.began(volume)
  const told = (accepted: boolean) => (accepted ? judge.accepted(attempt) : judge.refused(attempt))
  world.loop.after(WIRE_MS, () =>
    process!.run(() => {
      daemon.sanitize(volume.name, BLOCK_ERASE).then(
        accepted => void world.loop.after(WIRE_MS, () => told(accepted)),
        () => world.tally.add('sanitize unknown'),
      )
    }),
  )
}

/** The owner dies, loses power, or is deposed and hears of it late or never. */
function depose({ world, random, later }: Aim, { volume }: Target, owner: SimPeer): void {
  const how = random.below(3)
  if (how === 0) {
    owner.kill(random.chance(0.5))
    later(random.between(30, 6_000), () => owner.start())
  } else if (how === 1) {
    owner.losePower()
    later(random.between(800, 6_000), () => owner.powerOn())
  } else {
    const etcd = owner.parts?.etcd
    if (etcd !== undefined) etcd.trouble.watchLagMs = 4_000
    revokeOwner(world, volume, random.between(0, 3_000))
    later(4_000, () => etcd?.calmDown())
  }
}

/** What is to be erased, told to members. */
function atNextErase(aim: Aim, target: Target, owner: SimPeer, strike: () => void): void {
  atNextRequest(
    aim,
    () => void aim.world.loop.after(aim.random.pick([0, aim.random.between(0, 12)]), strike),
    (connection, { kind, volume, lengthBytes }) =>
      kind === PeerRequestKind.trim &&
      volume === target.volume.uuid &&
      lengthBytes > SEGMENT_BYTES &&
      connection.link.node === owner.parts?.node,
  )
}

/** A host sanitizes a volume, and whoever sanitizes it goes, once or again and again. */
export const SANITIZE_FAULTS = {
  sanitized: (aim, target) => {
    aim.struck(target.volume.name)
    sanitize(aim, target)
  },
  sanitizeInterrupted: (aim, target) => {
    const { random, world } = aim
    const interrupt = (owner: SimPeer) =>
      atNextErase(aim, target, owner, () => {
        aim.struck(`${target.volume.name} by ${owner.machine.name}`)
        atNextEpoch(aim, target.volume, () => {
          const next = ownerOf(world, target.volume)
          if (next === null || !random.chance(AGAIN_CHANCE)) return
          if (random.chance(0.5)) depose(aim, target, next)
          else interrupt(next)
        })
        depose(aim, target, owner)
      })
    interrupt(target.owner)
    sanitize(aim, target)
  },
} satisfies Record<string, AimedFault>

export type SanitizeFaultKind = keyof typeof SANITIZE_FAULTS
export const SANITIZE_FAULT_KINDS = Object.keys(SANITIZE_FAULTS) as SanitizeFaultKind[]
