import { RequestFlag } from '../../../src/replication/messages.ts'
import type { PeerRequest } from '../../../src/replication/peer-network.ts'
import type { SimConnection } from '../network/sim-connection.ts'
import type { AimedFault } from './aimed.ts'
import { atNextCopy, atNextWrite, restart, tellPaths } from './moments.ts'

const isAtomic = ({ flags }: PeerRequest) => (flags & RequestFlag.atomic) !== 0
/** From a write's arrival to its place: preparing, the record's sync, and then the blocks. */
const CARRIED_OUT_MS = 12

/** Faults that cut a write in the middle that must be there whole or not at all. */
export const ATOMIC_FAULTS = {
  /** Those who are carrying it out die, and are the ones whom the next owner asks. */
  atomicCutByKill: (aim, target) => {
    const { random, world, later } = aim
    const { owner, others } = target
    atNextWrite(
      aim,
      target,
      random.pick(others),
      () => {
        aim.struck(`of ${target.volume.name}`)
        const afterMs = random.between(0, CARRIED_OUT_MS)
        for (const peer of [owner, ...others]) {
          if (peer !== owner && random.chance(0.25)) continue
          later(afterMs + random.between(0, 3), () => restart(aim, peer, random.between(20, 400)))
        }
        if (random.chance(0.3)) later(afterMs, () => world.etcd.elect(random.between(500, 1_500)))
      },
      isAtomic,
    )
  },
  /** Everybody loses power while they are carrying it out. */
  atomicCutByPower: (aim, target) => {
    const { random, world, later } = aim
    atNextWrite(
      aim,
      target,
      random.pick(target.others),
      () => {
        aim.struck(`of ${target.volume.name}`)
        const afterMs = random.between(0, CARRIED_OUT_MS)
        for (const peer of world.peers) {
          later(afterMs, () => {
            peer.losePower()
            later(random.between(100, 1_500), () => peer.powerOn())
          })
        }
      },
      isAtomic,
    )
  },
  /** One member has it, follows the owner, and goes in the middle of giving it to the others. */
  atomicHalfReconciled: (aim, target) => {
    const { random, world, later } = aim
    const { owner, others, volume } = target
    const holder = random.pick(others)
    const strike = (_connection: SimConnection, { offsetBytes, lengthBytes }: PeerRequest) => {
      for (const other of others) if (other !== holder) world.network.block(owner.number, other.number)
      tellPaths(world)
      later(CARRIED_OUT_MS + random.between(0, 10), () => {
        owner.kill(true)
        // Whoever else would follow it is asked too late.
        for (const other of others)
          if (other !== holder) if (other.parts !== null) other.parts.etcd.trouble.watchLagMs = 4_000
      })
      later(random.between(500, 2_500), () => world.network.heal())
      later(random.between(2_000, 7_000), () => owner.start())
      atNextCopy(aim, holder, offsetBytes, offsetBytes + lengthBytes, () => {
        aim.struck(`of ${volume.name}, ${holder.machine.name} had it`)
        for (const peer of world.peers) peer.parts?.etcd.calmDown()
        if (random.chance(0.5)) holder.losePower()
        else holder.kill()
        later(random.between(2_000, 9_000), () => {
          holder.powerOn()
          holder.start()
        })
      })
    }
    atNextWrite(aim, target, holder, strike, isAtomic)
  },
} satisfies Record<string, AimedFault>

export type AtomicFaultKind = keyof typeof ATOMIC_FAULTS
export const ATOMIC_FAULT_KINDS = Object.keys(ATOMIC_FAULTS) as AtomicFaultKind[]
