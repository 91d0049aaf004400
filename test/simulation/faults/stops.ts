import type { SimPeer } from '../cluster/sim-peer.ts'
import type { Random } from '../world/random.ts'
import type { AimedFault } from './aimed.ts'
import { atNextWrite } from './moments.ts'

/** Less than others wait for an answer: who stopped is still in the sets. */
const SOON_MS = [0, 700] as const
const DOWN_MS = [50, 7_000] as const
const STAGGER_MS = 400
const REBOOT_CHANCE = 0.4

function stop(
  peer: SimPeer,
  random: Random,
  reboots = random.chance(REBOOT_CHANCE),
  ended?: () => void,
): void {
  peer.stop({ downMs: random.between(...DOWN_MS), reboots, ...(ended === undefined ? {} : { ended }) })
}

function namesOf(peers: readonly SimPeer[]): string {
  return peers.map(({ machine }) => machine.name).join(' ')
}

/** Faults that are none: daemons are asked to end, as before an upgrade of the machine, and end as they should. */
export const STOP_FAULTS = {
  ownerStopped: (aim, target) => {
    const { owner, volume, others } = target
    atNextWrite(aim, target, aim.random.pick(others), () => {
      aim.struck(`${owner.machine.name} of ${volume.name}`)
      stop(owner, aim.random)
    })
  },
  memberStopped: (aim, target) => {
    const victim = aim.random.pick(target.others)
    atNextWrite(aim, target, victim, () => {
      aim.struck(victim.machine.name)
      stop(victim, aim.random)
    })
  },
  /** One after the other, each as soon as the one before it is back, or sooner. */
  stoppedInTurn: ({ random, world, later, struck }) => {
    const peers = random.shuffled(world.peers.filter(peer => peer.isRunning))
    struck(namesOf(peers))
    for (const [i, peer] of peers.entries()) later(i * random.between(1_000, 6_000), () => stop(peer, random))
  },
  allStopped: ({ random, world, later, struck }) => {
    struck(namesOf(world.peers))
    for (const peer of world.peers) later(random.between(0, STAGGER_MS), () => stop(peer, random))
  },
  /** One stops and is switched off, and the others lose power before they have gone on without it. */
  onlyOneStopped: (aim, target) => {
    const { random, world, later } = aim
    const survivor = random.pick([target.owner, ...target.others])
    atNextWrite(aim, target, random.pick(target.others), () => {
      const cutOthers = () => {
        aim.struck(`${survivor.machine.name} of ${target.volume.name}`)
        later(random.between(...SOON_MS), () => {
          for (const peer of world.peers) {
            if (peer === survivor) continue
            peer.losePower()
            later(random.between(50, 4_000), () => peer.powerOn())
          }
        })
      }
      stop(survivor, random, true, cutOthers)
    })
  },
} satisfies Record<string, AimedFault>

export type StopFaultKind = keyof typeof STOP_FAULTS
export const STOP_FAULT_KINDS = Object.keys(STOP_FAULTS) as StopFaultKind[]
