import type { Member } from './member.ts'
import type { Ownership } from './ownership.ts'
import type { SetClass } from './set-class.ts'

/** An owner that reaches fewer than M members for so long lets go. PROTOCOL rule 2. */
const REACH_MS = 2_000
/** A flush takes as long as the disk needs for what is dirty: only a brick that hangs is taken for lost. */
const FLUSH_PATIENCE = 15
/** While several members take more than half of what they may, it is the load: each gets so many times as long. */
const LOADED_PATIENCE = 3
/** For so long a member counts as one of these. */
const LOADED_MS = 2_000
/** When most members look slow it is the owner that is, or the load: it hands over only after this. */
const HANDOVER_MS = 15_000
/** Between two looks; more means that this process stood still, and answers may wait to be read. */
const STALL_MS = 500

/** Looks for members that do not answer, and for an owner that has too few left. PROTOCOL rule 22. */
export class MemberWatch {
  readonly #ownership: Ownership
  #lookedMs: number
  #lenientUntilMs = 0
  #unreachedSinceMs: number | null = null
  /** bootMs of the newest moment at which a member had taken half of what it may. */
  readonly #laggedAtMs = new Map<Member, number>()

  constructor(ownership: Ownership) {
    this.#ownership = ownership
    this.#lookedMs = ownership.node.timers.bootMs()
  }

  tick(now: number): void {
    const { ejectAfterMs } = this.#ownership.node.config
    if (now - this.#lookedMs > STALL_MS) this.#lenientUntilMs = now + ejectAfterMs
    this.#lookedMs = now
    const { operationsInFlight } = this.#ownership.extents
    if (operationsInFlight > 0 && now >= this.#lenientUntilMs) this.#findSlow(now, ejectAfterMs)
    for (const member of this.#ownership.fencedMembers) this.#look(member, now, ejectAfterMs)
    this.#countReached(now)
  }

  #findSlow(now: number, ejectAfterMs: number): void {
    const { extents, sets } = this.#ownership
    extents.eachAwaited((member, _isOut, sinceMs, isFlush) => {
      if (!isFlush && now - sinceMs > ejectAfterMs / 2) this.#laggedAtMs.set(member, now)
    })
    const patienceMs = this.#isLoaded(now) ? LOADED_PATIENCE * ejectAfterMs : ejectAfterMs
    const slow = new Map<Member, number>()
    const slowJoiners = new Set<Member>()
    extents.eachAwaited((member, _isOut, sinceMs, isFlush) => {
      const isJoiner = !extents.everybody.includes(member)
      // It bears the copy as well, and nobody else waits for it.
      const writeMs = isJoiner ? LOADED_PATIENCE * ejectAfterMs : patienceMs
      const overMs = now - sinceMs - (isFlush ? FLUSH_PATIENCE * ejectAfterMs : writeMs)
      if (overMs <= 0) return
      if (isJoiner) slowJoiners.add(member)
      else slow.set(member, Math.max(overMs, slow.get(member) ?? 0))
    })
    // What it was sent comes back, and its copy ends: there is no set that it could leave.
    for (const joiner of slowJoiners) joiner.link?.reset()
    if (slow.size === 0) return
    const withOwn = [...slow.keys()].some(member => member.local !== null) && slow.size > 1
    if (!withOwn && slow.size * 2 <= sets.everybody.length) {
      for (const { peerNumber } of slow.keys()) this.#ownership.wantOut(peerNumber, false)
    } else if ([...slow.values()].every(overMs => overMs > HANDOVER_MS)) {
      this.#ownership.end('most members look slow from here')
    }
  }

  /** One that is slow among others that are not is at fault itself; a load that all bear is nobody's. */
  #isLoaded(now: number): boolean {
    let lagged = 0
    for (const member of this.#ownership.sets.everybody) {
      const atMs = this.#laggedAtMs.get(member)
      if (atMs !== undefined && now - atMs < LOADED_MS) lagged++
    }
    return lagged > 1
  }

  #look(member: Member, now: number, ejectAfterMs: number): void {
    if (member.reachable) {
      member.unreachableSinceMs = null
      return
    }
    member.unreachableSinceMs ??= now
    const hasFailed = member.local !== null && member.local.store.failure !== null
    const isGone = now - member.unreachableSinceMs > ejectAfterMs
    // A failed brick may have lost what the kernel reported once, and to whom is not known. PROTOCOL rule 15.
    if (!hasFailed && !member.restarted && !isGone) return
    // Who has left stays fenced, and away, for as long as it likes: looked at ten times a second, in every volume.
    if (this.#ownership.sets.everybody.includes(member)) this.#ownership.wantOut(member.peerNumber, hasFailed)
  }

  #countReached(now: number): void {
    if (isReached(this.#ownership.extents.classes)) this.#unreachedSinceMs = null
    else this.#unreachedSinceMs ??= now
    if (this.#unreachedSinceMs !== null && now - this.#unreachedSinceMs > REACH_MS) {
      this.#ownership.end('fewer members than M are in reach')
    }
  }
}

/** Some of what is served has M members in reach, or nothing is served. */
function isReached(classes: readonly SetClass[]): boolean {
  let served = 0
  for (const cls of classes) {
    if (!cls.served) continue
    if (cls.reachable >= cls.minReplicas) return true
    served++
  }
  return served === 0
}
