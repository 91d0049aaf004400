import { RECREATE_AFTER_MS } from '../cluster/replicated-daemon.ts'
import type { AimedFault } from './aimed.ts'

/** A look, and the copies. */
const RECREATED_MS = [5_000, 15_000] as const

/** Faults of peers that are taken for lost, and come back with what they had when they left. */
export const ABSENCE_FAULTS = {
  awayForLong: (aim, { owner, others, volume }) => {
    const { random, later } = aim
    const victim = random.pick([owner, ...others])
    aim.struck(`${victim.machine.name} of ${volume.name}`)
    const isPower = random.chance(0.5)
    if (isPower) victim.losePower()
    else victim.kill(random.chance(0.5))
    const backMs = RECREATE_AFTER_MS + random.between(...RECREATED_MS)
    later(backMs, () => (isPower ? victim.powerOn() : victim.start()))
  },
} satisfies Record<string, AimedFault>

export type AbsenceFaultKind = keyof typeof ABSENCE_FAULTS
export const ABSENCE_FAULT_KINDS = Object.keys(ABSENCE_FAULTS) as AbsenceFaultKind[]
