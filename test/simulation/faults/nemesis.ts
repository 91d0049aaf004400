import type { World } from '../cluster/world.ts'
import { Random } from '../world/random.ts'
import { ABSENCE_FAULT_KINDS, type AbsenceFaultKind } from './absence.ts'
import { AIMED_FAULT_KINDS, AIMED_FAULTS, type AimedFault, type AimedFaultKind, aimFault } from './aimed.ts'
import { ATOMIC_FAULT_KINDS, type AtomicFaultKind } from './aimed-atomics.ts'
import { COPY_FAULT_KINDS, type CopyFaultKind } from './aimed-copies.ts'
import {
  LAST_MEMBER_FAULT_KINDS,
  LAST_OWNER_FAULT_KINDS,
  type LastMemberFaultKind,
  type LastOwnerFaultKind,
} from './aimed-last.ts'
import { LOOK_FAULT_KINDS, type LookFaultKind } from './aimed-looks.ts'
import { LAYOUT_FAULT_KINDS, type LayoutFaultKind } from './aimed-moves.ts'
import { PATH_FAULT_KINDS, type PathFaultKind } from './aimed-paths.ts'
import { SANITIZE_FAULT_KINDS, type SanitizeFaultKind } from './aimed-sanitizes.ts'
import { FAULT_KINDS, FAULTS, type FaultKind } from './faults.ts'
import { STOP_FAULT_KINDS, type StopFaultKind } from './stops.ts'

/** Struck only in seeds that have it: all but one member of a volume lose their disks for good. */
export const DISKS_LOST_KIND = 'mostDisksLost'
/** The same: it ends them. */
export const ROLLBACK_KIND = 'etcdRolledBack'

export type AnyFaultKind =
  | typeof ROLLBACK_KIND
  | typeof DISKS_LOST_KIND
  | FaultKind
  | AimedFaultKind
  | AtomicFaultKind
  | CopyFaultKind
  | LastMemberFaultKind
  | LastOwnerFaultKind
  | LayoutFaultKind
  | LookFaultKind
  | AbsenceFaultKind
  | StopFaultKind
  | SanitizeFaultKind
  | PathFaultKind
export const ALL_FAULT_KINDS: readonly AnyFaultKind[] = [
  ...FAULT_KINDS,
  ...AIMED_FAULT_KINDS,
  ...ATOMIC_FAULT_KINDS,
  ...COPY_FAULT_KINDS,
  ...LAST_MEMBER_FAULT_KINDS,
  ...LAST_OWNER_FAULT_KINDS,
  ...LAYOUT_FAULT_KINDS,
  ...LOOK_FAULT_KINDS,
  ...ABSENCE_FAULT_KINDS,
  ...STOP_FAULT_KINDS,
  ...SANITIZE_FAULT_KINDS,
  ...PATH_FAULT_KINDS,
  ROLLBACK_KIND,
  DISKS_LOST_KIND,
]

function isDrawn(kind: AnyFaultKind): kind is FaultKind {
  return kind in FAULTS
}

function isAimed(kind: AnyFaultKind): kind is AimedFaultKind {
  return kind in AIMED_FAULTS
}

/** Everything is undone this long after the last operation began, at the latest. */
const CALM_AFTER_MS = 3_000

/** Breaks things while clients work, and mends them again. */
export class Nemesis {
  readonly #world: World
  readonly #random: Random
  readonly #aimRandom: Random
  readonly #kinds: readonly FaultKind[]
  readonly #aimed: readonly AimedFaultKind[]
  readonly #allowed: ReadonlySet<string>
  #active = true

  constructor(world: World, kinds: readonly AnyFaultKind[]) {
    this.#world = world
    this.#random = new Random(world.seed, 'nemesis')
    this.#aimRandom = new Random(world.seed, 'aim')
    this.#kinds = kinds.filter(isDrawn)
    this.#aimed = kinds.filter(isAimed)
    this.#allowed = new Set(kinds)
  }

  /** An operator replaces the cable of a disk that failed, and starts the daemon again, sooner or later. */
  operate(): void {
    this.#later(this.#random.between(2_000, 6_000), () => {
      for (const peer of this.#world.peers) {
        if (peer.parts === null || peer.parts.brick.failure === null) continue
        peer.kill()
        this.#later(this.#random.between(50, 1_000), () => peer.start())
      }
      this.operate()
    })
  }

  /** One more fault that waits for its moment. */
  aim(): void {
    if (this.#aimed.length > 0)
      this.#aimWith(AIMED_FAULTS, this.#aimRandom.pick(this.#aimed), this.#aimRandom)
  }

  /** The same of those that only some seeds have, by a stream of their own. */
  aimOneOf(faults: Readonly<Record<string, AimedFault>>, random: Random): void {
    const kinds = Object.keys(faults).filter(kind => this.#allowed.has(kind))
    if (kinds.length > 0) this.#aimWith(faults, random.pick(kinds), random)
  }

  #aimWith(faults: Readonly<Record<string, AimedFault>>, kind: string, random: Random): void {
    const { tally, trace } = this.#world
    aimFault(faults[kind]!, {
      world: this.#world,
      random,
      later: this.#later,
      isOver: () => !this.#active,
      struck: what => {
        tally.add(`fault ${kind}`)
        tally.add('faults')
        trace.say('nemesis', `${kind}: ${what}`)
      },
    })
  }

  /** One more fault. */
  strike(): void {
    if (this.#kinds.length === 0) return
    const kind = this.#random.pick(this.#kinds)
    const { tally, trace } = this.#world
    const said = FAULTS[kind](this.#world, this.#random, this.#later)
    if (said === null) return
    tally.add(`fault ${kind}`)
    tally.add('faults')
    trace.say('nemesis', `${kind}: ${said}`)
  }

  /** A backup of etcd is made; answers how it is restored. */
  backUp(): () => void {
    const { etcd, judge, tally, trace } = this.#world
    const backup = etcd.backup()
    return () => {
      trace.say('nemesis', `${ROLLBACK_KIND}: from revision ${etcd.revision} to ${backup.revision}`)
      tally.add(`fault ${ROLLBACK_KIND}`)
      tally.add('faults')
      etcd.restore(backup)
      judge.rolledBack()
    }
  }

  /** All but one of a volume's first range lose their disks: of all other sets that leaves somebody as well. */
  loseDisks(random: Random): void {
    const { judge, loop, peers, tally, trace, volumes } = this.#world
    const views = volumes.flatMap(volume => judge.view(volume) ?? [])
    const isWhole = views.length === volumes.length && views.every(({ head }) => head.out.length === 0)
    if (!isWhole || !peers.every(peer => peer.isReachable)) return
    const { name, members } = random.pick(views)
    const [, ...lost] = random.shuffled(members[0]!)
    const others = peers.filter(({ disk }) => lost.includes(disk.uuid))
    tally.add(`fault ${DISKS_LOST_KIND}`)
    tally.add('faults')
    trace.say(
      'nemesis',
      `${DISKS_LOST_KIND}: ${others.map(({ machine }) => machine.name).join(' ')} of ${name}`,
    )
    for (const peer of others) {
      peer.kill(true)
      peer.disk.empty()
      loop.after(random.between(50, 2_000), () => peer.start())
    }
  }

  /** Mends everything, now and whatever is still to come. */
  calm(): void {
    if (!this.#active) return
    this.#active = false
    this.#world.trace.say('nemesis', 'mends everything')
    this.#world.network.calmDown()
    for (const peer of this.#world.peers) peer.heal()
    this.#world.loop.after(CALM_AFTER_MS, () => {
      for (const peer of this.#world.peers) peer.heal()
    })
  }

  readonly #later = (ms: number, mend: () => void): void => {
    this.#world.loop.after(ms, () => {
      if (this.#active) mend()
    })
  }
}
