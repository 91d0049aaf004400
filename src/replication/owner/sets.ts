import { inSyncSets } from '../../control/in-sync.ts'
import { fencesNeeded, isInSync, type OutBrick, rangesOf, type VolumeHead } from '../../control/layout.ts'

export { inSyncSets, rangesOf }

/** Placement of all ranges of a volume: the small numbers of peers, by range. */
export type Placement = readonly (readonly number[])[]

/** Who is which: one brick per peer. null: no record says. */
export interface BrickNames {
  peerOf(brickUuid: string): number | null
  brickOf(peerNumber: number): string | null
}

/** The bitmap of `ranges` ranges in which those are set for which `has` says so. */
export function encodeInSync(ranges: number, has: (range: number) => boolean): string {
  const bytes = Buffer.alloc(Math.ceil(ranges / 8))
  for (let range = 0; range < ranges; range++) {
    if (has(range)) bytes[range >> 3]! |= 1 << (range & 7)
  }
  return bytes.toString('hex')
}

/** A member that is to leave. `full`: nothing that it holds can be built on, it returns by a full comparison. */
export interface Leaver {
  readonly peer: number
  readonly full: boolean
}

export interface Removal {
  readonly head: VolumeHead
  /** Generation that the members that remain stamp their active segments with. PROTOCOL rule 12. */
  readonly since: number
  /** Those of the wanted ones that left somewhere. */
  readonly left: readonly number[]
}

/** What is known of ranges and members in the present epoch. */
export interface EpochView {
  readonly isServed: (range: number) => boolean
  readonly isReachable: (peer: number) => boolean
}

/**
 * Whether `rest` are enough to go on with, of a set of `members`. Where this epoch does not serve yet, a former owner may
 * read by what M was before it fell: a set of fewer would be served with a fence of none that it counts on. Nor does it count
 * there who may never answer: without the one that leaves, whatever became of its disk, nobody could serve again.
 */
export function isEnough(
  head: VolumeHead,
  range: number,
  rest: readonly number[],
  members: number,
  { isServed, isReachable }: EpochView,
): boolean {
  if (isServed(range)) return rest.length >= head.minReplicas
  return rest.filter(isReachable).length >= fencesNeeded(head, members)
}

/**
 * The head after these peers left every range where at least M remain; null when none may leave anywhere. A
 * brick that was out of some ranges already keeps its older `since`: more is copied than needed, never less.
 * Ranges that the head has and `placement` has not yet are nobody's to leave.
 */
export function removeMembers(
  head: VolumeHead,
  placement: Placement,
  names: BrickNames,
  leavers: readonly Leaver[],
  view: EpochView,
): Removal | null {
  const sets = inSyncSets(head, placement, names)
  const since = head.generation + 1
  const left: number[] = []
  let out = [...head.out]
  for (const { peer, full } of leavers) {
    const uuid = names.brickOf(peer)
    if (uuid === null) continue
    const gone = new Set<number>()
    for (const [range, set] of sets.entries()) {
      const rest = set.filter(member => member !== peer)
      if (rest.length === set.length || !isEnough(head, range, rest, set.length, view)) continue
      sets[range] = rest
      gone.add(range)
    }
    if (gone.size === 0) continue
    const before = out.find(entry => entry.uuid === uuid)
    const ranges = Math.max(placement.length, rangesOf(head.sizeBytes))
    const inSync = encodeInSync(
      ranges,
      range => !gone.has(range) && (before === undefined || isInSync(before, range)),
    )
    out = [
      ...out.filter(entry => entry.uuid !== uuid),
      { uuid, since: full ? 0 : (before?.since ?? since), inSync },
    ]
    left.push(peer)
  }
  if (left.length === 0) return null
  const changed = { ...head, out, generation: since, setVersion: head.setVersion + 1 }
  return { head: changed, since, left }
}

/** The head without the entries of bricks that are out of no range that they are placed on: such ranges have moved away. */
export function withoutMoved(head: VolumeHead, placement: Placement, names: BrickNames): VolumeHead {
  const out = head.out.filter(entry => {
    const peer = names.peerOf(entry.uuid)
    return peer === null || placement.some((peers, range) => peers.includes(peer) && !isInSync(entry, range))
  })
  return out.length === head.out.length ? head : { ...head, out }
}

/**
 * The head after a brick joined these ranges; its entry goes when it is in sync wherever it is placed. A peer has several
 * where its brick is a new one and has left ranges too: it is in sync only where all of them say so.
 */
export function addMember(
  head: VolumeHead,
  placement: Placement,
  names: BrickNames,
  brickUuid: string,
  ranges: ReadonlySet<number>,
): VolumeHead {
  const peer = names.peerOf(brickUuid)
  const isOurs = (out: OutBrick) =>
    out.uuid === brickUuid || (peer !== null && names.peerOf(out.uuid) === peer)
  const entries = head.out.filter(isOurs)
  const [entry] = entries
  if (entry === undefined) return head
  const has = (range: number) => ranges.has(range) || entries.every(out => isInSync(out, range))
  const complete = placement.every((peers, range) => peer === null || !peers.includes(peer) || has(range))
  const others = head.out.filter(out => !isOurs(out))
  const all = Math.max(placement.length, rangesOf(head.sizeBytes))
  // Of several nobody can say any more what the brick there builds on: it is compared whole.
  const { uuid, since } = entries.length === 1 ? entry : { uuid: brickUuid, since: 0 }
  const out = complete ? others : [...others, { uuid, since, inSync: encodeInSync(all, has) }]
  return { ...head, out, setVersion: head.setVersion + 1 }
}

/** Every peer that any range is placed on, in ascending order. */
export function placedPeers(placement: Placement): number[] {
  return [...new Set(placement.flat())].sort((a, b) => a - b)
}
