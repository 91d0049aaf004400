import type { CopyOrder } from './copy.ts'
import type { CopyPlanner, OutMember, WantedChange } from './resync-ports.ts'

/** Of one copy and its transaction: 256 GiB at most that are lost work when it fails. */
export const RANGES_PER_COPY = 64

/** A member of these ranges is one no more, and nobody takes its place: R has fallen. */
export interface LeaveOrder {
  readonly kind: 'leave'
  readonly leaves: number
  readonly ranges: readonly number[]
}

export interface CopyPlanFacts {
  readonly volumeUuid: string
  readonly nowMs: number
  /** A brick that does not answer for longer is taken for lost. */
  readonly recreateAfterMs: number
  readonly outs: readonly OutMember[]
  readonly planner: CopyPlanner
  readonly isPlaced: (peerNumber: number, range: number) => boolean
  readonly isServed: (range: number) => boolean
  /** By peer: the time before which no copy is tried onto it, since one failed. */
  readonly restsUntilMs: ReadonlyMap<number, number>
}

/** What is to be done next, if anything: who comes back first, then who is lost, then who shall be elsewhere. */
export function nextChange(facts: CopyPlanFacts): CopyOrder | LeaveOrder | null {
  return nextReturn(facts) ?? nextRecreation(facts) ?? nextMove(facts)
}

function nextReturn({ outs, nowMs, restsUntilMs }: CopyPlanFacts): CopyOrder | null {
  for (const { peerNumber, answers, notBeforeMs, since, ranges } of outs) {
    if (!answers || ranges.length === 0 || nowMs < notBeforeMs) continue
    if (nowMs < (restsUntilMs.get(peerNumber) ?? 0)) continue
    const some = [...ranges].sort((a, b) => a - b).slice(0, RANGES_PER_COPY)
    return { kind: 'resync', joins: peerNumber, leaves: null, ranges: some, since }
  }
  return null
}

function nextRecreation(facts: CopyPlanFacts): CopyOrder | null {
  const { outs, planner, volumeUuid, nowMs, recreateAfterMs, restsUntilMs, isPlaced } = facts
  for (const { peerNumber: leaves, awayMs, ranges } of outs) {
    if (awayMs < recreateAfterMs) continue
    let joins: number | null = null
    const some: number[] = []
    for (const range of ranges) {
      const substitute = planner.substitute(volumeUuid, range, leaves)
      if (substitute === null || isPlaced(substitute, range)) continue
      if (nowMs < (restsUntilMs.get(substitute) ?? 0)) continue
      joins ??= substitute
      if (substitute === joins && some.length < RANGES_PER_COPY) some.push(range)
    }
    if (joins !== null) return { kind: 'recreate', joins, leaves, ranges: some, since: 0 }
  }
  return null
}

function nextMove(facts: CopyPlanFacts): CopyOrder | LeaveOrder | null {
  const { outs, planner, volumeUuid, nowMs, restsUntilMs, isPlaced, isServed } = facts
  const missing = missingIn(outs)
  const wanted = planner.wanted(volumeUuid).filter(({ range, joins, leaves }) => {
    // Repairs before moves: a range with a member missing is healed, unless it shall go on without that one.
    const isBroken = missing.get(range)?.some(peer => joins !== null || peer !== leaves) === true
    if (isBroken || !isServed(range) || nowMs < (restsUntilMs.get(joins ?? leaves ?? -1) ?? 0)) return false
    // Who plans may not have heard yet that it is done.
    if (joins !== null && isPlaced(joins, range)) return false
    return leaves === null || isPlaced(leaves, range)
  })
  const [first] = wanted
  if (first === undefined) return null
  const ranges = wanted
    .filter(change => isAlike(change, first))
    .slice(0, RANGES_PER_COPY)
    .map(({ range }) => range)
  const { joins, leaves } = first
  if (joins !== null) return { kind: 'move', joins, leaves, ranges, since: 0 }
  return leaves === null ? null : { kind: 'leave', leaves, ranges }
}

/** By range: peers that are out of it. */
function missingIn(outs: readonly OutMember[]): Map<number, number[]> {
  const missing = new Map<number, number[]>()
  for (const { peerNumber, ranges } of outs) {
    for (const range of ranges) {
      const peers = missing.get(range)
      if (peers === undefined) missing.set(range, [peerNumber])
      else peers.push(peerNumber)
    }
  }
  return missing
}

function isAlike(one: WantedChange, other: WantedChange): boolean {
  return one.joins === other.joins && one.leaves === other.leaves
}
