import type { AimedFault } from './aimed.ts'
import { atNextWrite } from './moments.ts'

/** Faults of gateways that have nothing of the volume themselves. */
export const PATH_FAULTS = {
  /** Everybody who has the volume loses power in the middle of writes; gateways beside them keep their sessions. */
  membersLosePower: (aim, target) => {
    const { random, world, later } = aim
    const { volume, owner, others } = target
    const members = new Set([owner, ...others])
    if (world.peers.every(peer => members.has(peer))) return
    atNextWrite(aim, target, random.pick(others), () => {
      aim.struck(`of ${volume.name}`)
      later(random.between(0, 15), () => {
        for (const peer of members) {
          peer.losePower()
          later(random.between(50, 2_500), () => peer.powerOn())
        }
      })
    })
  },
} satisfies Record<string, AimedFault>

export type PathFaultKind = keyof typeof PATH_FAULTS
export const PATH_FAULT_KINDS = Object.keys(PATH_FAULTS) as PathFaultKind[]
