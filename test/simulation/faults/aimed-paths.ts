import type { AimedFault } from './aimed.ts'

/** Until the host has logged in, and written. */
const MOVED_MS = [100, 900] as const
/** Until somebody serves the volume again. */
const RESTS_MS = 12_000

/** Faults of gateways that have nothing of the volume themselves. */
export const PATH_FAULTS = {
  /** Everybody who has the volume loses power; the gateways beside them keep their sessions, those of one host among them. */
  membersLosePower: (aim, target) => {
    const { random, world, later } = aim
    const { volume, owner, others } = target
    const members = new Set([owner, ...others])
    const beside = world.peers.filter(peer => !members.has(peer))
    if (beside.length === 0) return
    world.paths?.rest(RESTS_MS, beside)
    later(random.between(...MOVED_MS), () => {
      aim.struck(`of ${volume.name}`)
      for (const peer of members) {
        peer.losePower()
        later(random.between(50, 2_500), () => peer.powerOn())
      }
    })
  },
} satisfies Record<string, AimedFault>

export type PathFaultKind = keyof typeof PATH_FAULTS
export const PATH_FAULT_KINDS = Object.keys(PATH_FAULTS) as PathFaultKind[]
