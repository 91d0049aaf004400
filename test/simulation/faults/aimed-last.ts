import type { AimedFault } from './aimed.ts'
import { atNextForwarded, atNextSetChange, cut, revokeOwner } from './moments.ts'

const EJECTED_MS = 1_300
/** What was sent has ended, on members that are well. */
const WRITES_END_MS = 400
const QUIET_READER_MS = 1_000
/** The next owner serves, alone. */
const TAKEN_OVER_MS = 9_000

/** Faults for volumes that go on with their last replica. */
export const LAST_MEMBER_FAULTS = {
  /** Two leave one after the other; the first to return is all that the second finds. */
  onlyCopyIsSource: (aim, target) => {
    const { random, later } = aim
    const { owner, others, volume } = target
    const [first, last] = random.shuffled(others)
    if (first === undefined || last === undefined) return
    // What is active on it would be copied in any case.
    void owner.daemon?.clearSegments(volume.name, 0).catch(() => undefined)
    later(random.between(15, 60), () => last.kill())
    later(random.between(200, 800), () => first.kill())
    later(EJECTED_MS + random.between(1_200, 2_500), () => {
      first.start()
      later(random.between(50, 300), () => void owner.daemon?.release(volume.name).catch(() => undefined))
      atNextSetChange(
        aim,
        volume,
        (now, wanted) => wanted.out.length < now.out.length,
        () => {
          aim.struck(`${first.machine.name} of ${volume.name}`)
          later(random.between(20, 200), () => owner.kill(true))
          later(random.between(5_000, 8_000), () => owner.start())
          later(random.between(2_500, 5_000), () => last.start())
        },
      )
    })
    later(12_000, () => last.start())
  },
  /**
   * As above, but what the first one is given is all that tells it how new that is: nobody writes any more, and nothing
   * is active when the source goes.
   */
  copiedThenAlone: (aim, target) => {
    const { random, later, world } = aim
    const { owner, others, volume } = target
    const [first, last] = random.shuffled(others)
    if (first === undefined || last === undefined) return
    const clients = world.clients.filter(client => client.volume === volume)
    const onlyRead = (on: boolean) => {
      for (const client of clients) client.onlyReads(on, QUIET_READER_MS)
    }
    later(random.between(15, 60), () => last.kill())
    later(random.between(200, 800), () => first.kill())
    later(EJECTED_MS + random.between(1_200, 2_500), () => {
      onlyRead(true)
      later(WRITES_END_MS, () => first.start())
      atNextSetChange(
        aim,
        volume,
        (now, wanted) => wanted.out.length < now.out.length,
        () => {
          aim.struck(`${first.machine.name} of ${volume.name}`)
          later(
            random.between(50, 150),
            () => void owner.daemon?.clearSegments(volume.name, 0).catch(() => {}),
          )
          later(WRITES_END_MS, () => owner.kill(true))
          later(TAKEN_OVER_MS, () => owner.start())
        },
      )
    })
    world.loop.after(2 * TAKEN_OVER_MS, () => {
      onlyRead(false)
      if (!aim.isOver()) last.start()
    })
  },
} satisfies Record<string, AimedFault>

/** The same where clients come by gateways. */
export const LAST_OWNER_FAULTS = {
  /** All other bricks fail; the owner carries a write out alone, its answer is lost, and others write on. */
  loneAnswerLost: (aim, target) => {
    const { random, later, world } = aim
    const { owner, others, volume } = target
    for (const { disk } of others) disk.trouble.failsNextWrite = true
    later(random.between(600, 2_000), () =>
      atNextForwarded(aim, target, gateway => {
        aim.struck(`from ${owner.machine.name} to ${gateway.machine.name}`)
        cut(world, owner, gateway)
        // The daemon lives and owns the volume anew, or another does: its brick remembers.
        later(random.between(50, 600), () => revokeOwner(world, volume, random.between(0, 300)))
        later(random.between(700, 2_500), () => world.network.heal())
      }),
    )
  },
} satisfies Record<string, AimedFault>

export type LastOwnerFaultKind = keyof typeof LAST_OWNER_FAULTS
export const LAST_OWNER_FAULT_KINDS = Object.keys(LAST_OWNER_FAULTS) as LastOwnerFaultKind[]

export type LastMemberFaultKind = keyof typeof LAST_MEMBER_FAULTS
export const LAST_MEMBER_FAULT_KINDS = Object.keys(LAST_MEMBER_FAULTS) as LastMemberFaultKind[]
