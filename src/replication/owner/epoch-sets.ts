import { BlockStatus } from '../../block/block-status.ts'
import {
  encodeValue,
  fencesNeeded,
  keys,
  type OutBrick,
  type PlacementPage,
  RANGES_PER_PAGE,
  type VolumeHead,
} from '../../control/layout.ts'
import type { Operation } from '../../metadata/metadata-store.ts'
import type { EarnedChange } from '../resync/resync-ports.ts'
import type { Timers } from '../timers.ts'
import type { ChangeOutcome, HeadKeeper } from './head-keeper.ts'
import type { Member } from './member.ts'
import type { Orders } from './orders.ts'
import type { ReplicatedExtents } from './replicated-extents.ts'
import type { Sets } from './serving-rule.ts'
import { classifyRanges, type SetClass } from './set-class.ts'
import {
  addMember,
  type BrickNames,
  inSyncSets,
  type Leaver,
  type Placement,
  placedPeers,
  type Removal,
  rangesOf,
  removeMembers,
  withoutMoved,
} from './sets.ts'

/** How long a member may take to stamp its active segments before it is asked to leave as well. */
const ANNOUNCE_TIMEOUT_MS = 1_000
const ANNOUNCE_RETRY_MS = 100
/** A member that M need and that does not take the new set for so long ends the epoch. */
const ANNOUNCE_MS_MAX = 2_500

export interface EpochSetsOptions {
  readonly name: string
  readonly keeper: HeadKeeper
  readonly placement: Placement
  readonly names: BrickNames
  readonly extents: ReplicatedExtents
  readonly orders: Orders
  readonly timers: Timers
  readonly member: (peerNumber: number) => Member
  readonly ended: () => boolean
  /** The set cannot become what the head says: some member that M need does not hear of it. */
  readonly unheard: () => void
  /** It is a member from this turn on: nobody asks its gate any more. */
  readonly joined: (peerNumber: number, ranges: readonly number[]) => void
  /** A removal that leads from sets to others must not happen: nobody in them knows what the leavers do. */
  readonly losesSource: (before: Sets, after: Sets) => boolean
  /** Whoever gives up its place in this range now may be whom others are being made like, and has nothing soon after. */
  readonly isReconciling: (range: number) => boolean
  /** These members do not answer, and M need them. */
  readonly cannotLeave: (leavers: readonly Leaver[]) => void
  /**
   * After every change: events, statistics, whoever follows the head. Nobody waits any more for those that `left`; of these
   * some were `ejected`, and others gave up their place as was wanted, or did not come to join.
   */
  readonly changed: (left: readonly Member[], ejected: readonly Member[]) => void
}

/** The in-sync sets of an owned volume, and the one way to change them. Calls must not overlap. PROTOCOL rule 8. */
export class EpochSets {
  readonly #options: EpochSetsOptions
  #placement: Placement
  #served: boolean[]
  #sets: number[][]
  #everybody: readonly Member[] | null = null
  #joining: Member | null = null
  /** By process of a member: with which generation it has stamped its active segments. */
  readonly #stamped = new Map<string, number>()
  /** By which the sets are served now. */
  minReplicas: number

  constructor(options: EpochSetsOptions) {
    this.#options = options
    this.#placement = options.placement
    this.#sets = inSyncSets(this.head, this.#placement, options.names)
    this.#served = this.#placement.map(() => false)
    this.minReplicas = this.head.minReplicas
  }

  get head(): VolumeHead {
    return this.#options.keeper.head
  }

  get placement(): Placement {
    return this.#placement
  }

  /** S(r), by range: small numbers. */
  get current(): readonly (readonly number[])[] {
    return this.#sets
  }

  /** Everybody who is in the set of some range. */
  get everybody(): readonly Member[] {
    this.#everybody ??= placedPeers(this.#sets).map(peer => this.#options.member(peer))
    return this.#everybody
  }

  isServed(range: number): boolean {
    return this.#served[range] ?? false
  }

  serve(ranges: readonly number[]): void {
    for (const range of ranges) this.#served[range] = true
    this.#install(null, [])
  }

  /** The volume grew, or pages were rewritten by whoever may: what is placed is read anew. */
  replaced(placement: Placement): void {
    this.#placement = placement
    this.#become(inSyncSets(this.head, placement, this.#options.names))
    this.#served = placement.map((_, range) => this.#served[range] ?? false)
    this.#install(null, [])
  }

  /**
   * Takes members out where M remain. When it resolves with changed, those that remain have stamped their active
   * segments and nobody waits for the ones that left. PROTOCOL rule 12.
   */
  async remove(leavers: readonly Leaver[]): Promise<ChangeOutcome> {
    const { names, keeper } = this.#options
    const plan = this.#planRemoval(leavers)
    if (plan === null) return 'unchanged'
    const before = this.#sets
    this.#become(inSyncSets(plan.head, this.#placement, names))
    this.#install(before, [])
    const outcome = await keeper.change(head => this.#removed(head, leavers))
    this.#become(inSyncSets(this.head, this.#placement, names))
    if (outcome === 'superseded' || outcome === 'ended') return outcome
    await this.#announce(true)
    if (this.#options.ended()) return 'ended'
    this.#install(null, this.#leftSince(before))
    return outcome
  }

  /** What copying has earned; false when it was refused. */
  async earn(change: EarnedChange): Promise<ChangeOutcome> {
    const { names, keeper, member, extents, joined: tellJoined } = this.#options
    const ranges = new Set(change.ranges)
    const joiner = change.joins === null ? null : member(change.joins)
    const before = this.#sets
    const placed = this.#placement.map((peers, range) => (ranges.has(range) ? moved(peers, change) : peers))
    const next = (head: VolumeHead) =>
      withoutMoved(
        joiner === null
          ? { ...head, setVersion: head.setVersion + 1 }
          : joined(head, placed, names, joiner.brickUuid, ranges),
        placed,
        names,
      )
    // R may have risen since somebody was to leave because it had fallen.
    const isTooFew = (head: VolumeHead) =>
      placed.some((peers, range) => peers.length < Math.min(this.#placement[range]!.length, head.replicas))
    const isEarned = (head: VolumeHead) =>
      !isTooFew(head) && this.#mayBecome(head, inSyncSets(next(head), placed, names))
    if (!isEarned(this.head)) return 'unchanged'
    this.#joining = joiner
    this.#become(inSyncSets(next(this.head), placed, names))
    this.#install(before, [])
    const outcome = await keeper.change(head =>
      isEarned(head) ? { head: next(head), also: this.#pages(placed) } : null,
    )
    this.#joining = null
    // What was tried may be so for the next owner: nothing that waits for the joiner may be told to be done without it.
    if (outcome === 'superseded' || outcome === 'ended') return outcome
    if (outcome === 'changed') {
      this.#placement = placed
      extents.reserved.clear()
      if (change.joins !== null) tellJoined(change.joins, change.ranges)
    }
    this.#become(inSyncSets(this.head, this.#placement, names))
    const left = this.#leftSince(before)
    const ejected = left.filter(({ peerNumber }) => peerNumber !== change.leaves)
    if (outcome !== 'changed' && joiner !== null) left.push(joiner)
    this.#install(null, left, ejected)
    if (outcome === 'changed') await this.#announceJoin()
    return outcome
  }

  /**
   * What its brick held of the volume is gone: whoever copies to it from now on, in whatever epoch, compares everything.
   * Told before anything is there again, which would look like what it had.
   */
  emptied(peer: number): Promise<ChangeOutcome> {
    const { keeper, names } = this.#options
    const isIts = ({ uuid, since }: OutBrick) => since > 0 && names.peerOf(uuid) === peer
    return keeper.change(head => {
      if (!head.out.some(isIts)) return null
      const out = head.out.map(entry => (isIts(entry) ? { ...entry, since: 0 } : entry))
      return { head: { ...head, out, setVersion: head.setVersion + 1 } }
    })
  }

  /**
   * Once every range is served here nobody reads under a former epoch any more, and under this one by no other M than is
   * known here.
   */
  forgetFormerMinimum(): Promise<ChangeOutcome> {
    return this.#options.keeper.change(head => {
      const { minReplicasBefore, ...rest } = head
      const isHere =
        head.minReplicas === this.minReplicas && this.#placement.every((_, range) => this.isServed(range))
      return minReplicasBefore !== undefined && isHere ? { head: rest } : null
    })
  }

  /**
   * Where somebody leaves with it, as many as the next owner has to fence must remain within reach, somebody must know what the others have yet to be given, and
   * nobody may be in the middle of being given it: what a brick is not placed on any more is freed. Of ranges that are not
   * served yet nobody knows who is needed. Nor may the pages be written by who has not heard that the volume has more ranges.
   */
  #mayBecome(head: VolumeHead, after: Sets): boolean {
    const before = inSyncSets(head, this.#placement, this.#options.names)
    if (rangesOf(head.sizeBytes) !== after.length) return false
    const { isReconciling, losesSource, member } = this.#options
    const isLeft = (set: readonly number[], range: number) => before[range]!.some(peer => !set.includes(peer))
    const isShort = (set: readonly number[]) =>
      set.filter(peer => member(peer).reachable).length < fencesNeeded(head, set.length)
    const isWrong = (set: readonly number[], range: number) =>
      isLeft(set, range) && (isShort(set) || isReconciling(range) || !this.isServed(range))
    return !after.some(isWrong) && !losesSource(before, after)
  }

  /** Whoever does not hear of it leaves at once, the one that has just joined included. */
  async #announceJoin(): Promise<void> {
    const before = this.#sets
    await this.#announce(false)
    const left = this.#leftSince(before)
    if (left.length > 0 && !this.#options.ended()) this.#install(null, left)
  }

  /** Tells everybody the setVersion and generation; members that do not answer have to leave too. */
  async #announce(withStamps: boolean): Promise<void> {
    let stampActive = withStamps
    const { timers, names, keeper, ended, unheard } = this.#options
    const sinceMs = timers.bootMs()
    while (!ended()) {
      const due = this.everybody.filter(member => member.fenced && member.setVersion < this.head.setVersion)
      if (due.length === 0) return
      const answers = await Promise.all(due.map(member => this.#tell(member, stampActive)))
      const silent = due.filter((_, i) => !answers[i])
      if (silent.length === 0) continue
      const leavers = silent.map(({ peerNumber }) => ({ peer: peerNumber, full: false }))
      if (this.#planRemoval(leavers) !== null) {
        stampActive = true
        await keeper.change(head => this.#removed(head, leavers))
        this.#become(inSyncSets(this.head, this.#placement, names))
      } else this.#options.cannotLeave(leavers)
      if (timers.bootMs() - sinceMs > ANNOUNCE_MS_MAX) return unheard()
      await new Promise<void>(resolve => {
        timers.after(ANNOUNCE_RETRY_MS, resolve)
      })
    }
  }

  /** null when none may leave anywhere. */
  #planRemoval(leavers: readonly Leaver[]): Removal | null {
    const { names, losesSource } = this.#options
    const plan = this.#removed(this.head, leavers)
    if (plan === null) return null
    return losesSource(this.#sets, inSyncSets(plan.head, this.#placement, names)) ? null : plan
  }

  #removed(head: VolumeHead, leavers: readonly Leaver[]): Removal | null {
    const { names, member } = this.#options
    const view = {
      isServed: (range: number) => this.isServed(range),
      isReachable: (peer: number) => member(peer).reachable,
    }
    return removeMembers(head, this.#placement, names, leavers, view)
  }

  /** For a new epoch: members that are out must find what they miss by its stamps. */
  async stampAll(): Promise<void> {
    for (const member of this.everybody) {
      // A removal of this epoch may have had it done already.
      if (this.#stamped.get(member.incarnation) !== this.head.generation) member.setVersion = 0
    }
    await this.#announce(true)
  }

  async #tell(member: Member, stampActive: boolean): Promise<boolean> {
    const { orders, extents } = this.#options
    const { generation, setVersion } = this.head
    const { incarnation } = member
    const terms = { volumeUuid: extents.volumeUuid, epoch: extents.epoch, setVersion }
    const order = {
      what: 'setVersion',
      generation,
      stampActive: stampActive ? generation : null,
    } as const
    const { status } = await orders.ask(member.peerNumber, terms, order, ANNOUNCE_TIMEOUT_MS)
    if (status !== BlockStatus.ok) return false
    member.setVersion = Math.max(member.setVersion, setVersion)
    if (stampActive) this.#stamped.set(incarnation, generation)
    return true
  }

  #install(
    before: readonly (readonly number[])[] | null,
    left: readonly Member[],
    ejected: readonly Member[] = left,
  ): void {
    const { extents, member, changed } = this.#options
    const asMembers = (sets: readonly (readonly number[])[]) => sets.map(set => set.map(member))
    this.minReplicas = this.head.minReplicas
    const classes: SetClass[] = classifyRanges(
      asMembers(this.#sets),
      before === null ? null : asMembers(before),
      this.minReplicas,
      range => this.isServed(range),
    )
    for (const cls of classes) {
      const [old, now] = cls.quorums
      cls.frozen = now !== undefined && old!.some(one => !now.includes(one)) && this.#joining === null
    }
    const everybody = new Set([...this.everybody, ...asMembers(before ?? []).flat()])
    extents.generation = this.head.generation
    extents.setClasses(classes, [...everybody], left)
    if (before === null) changed(left, ejected)
  }

  #become(sets: number[][]): void {
    this.#sets = sets
    this.#everybody = null
  }

  #leftSince(before: readonly (readonly number[])[]): Member[] {
    const left = new Set<number>()
    for (const [range, set] of before.entries()) {
      for (const peer of set) if (!this.#sets[range]?.includes(peer)) left.add(peer)
    }
    return [...left].map(peer => this.#options.member(peer))
  }

  /** The pages in which a placement differs from the present one. */
  #pages(placed: Placement): Operation[] {
    const pages: Operation[] = []
    for (let first = 0; first < placed.length; first += RANGES_PER_PAGE) {
      const ranges = placed.slice(first, first + RANGES_PER_PAGE)
      if (ranges.every((peers, i) => peers === this.#placement[first + i])) continue
      const key = keys.page(this.#options.name, first / RANGES_PER_PAGE)
      const page: PlacementPage = { ranges }
      pages.push({ do: 'put', key, value: encodeValue('placement', page) })
    }
    return pages
  }
}

function moved(peers: readonly number[], { joins, leaves }: EarnedChange): readonly number[] {
  const kept = peers.filter(peer => peer !== leaves)
  const placed = joins === null || kept.includes(joins) ? kept : [...kept, joins]
  return placed.length === peers.length && placed.every((peer, i) => peer === peers[i]) ? peers : placed
}

function joined(
  head: VolumeHead,
  placed: Placement,
  names: BrickNames,
  brickUuid: string,
  ranges: ReadonlySet<number>,
): VolumeHead {
  const changed = addMember(head, placed, names, brickUuid, ranges)
  return changed === head ? { ...head, setVersion: head.setVersion + 1 } : changed
}
