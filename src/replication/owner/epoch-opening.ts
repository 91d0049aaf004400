import { fencesNeeded, RANGE_BYTES } from '../../control/layout.ts'
import { SEGMENTS_PER_RANGE } from '../../store/layout.ts'
import type { LoggedOperation, OperationFate } from '../operation-log.ts'
import type { MemberPort } from '../resync/resync-ports.ts'
import { doubtfulSpans } from './doubts.ts'
import { Fencing } from './fencing.ts'
import { FormerOperations } from './former-operations.ts'
import type { Member } from './member.ts'
import type { Ownership } from './ownership.ts'
import { Reconcile } from './reconcile.ts'
import { type FenceState, losesSource, type Sets, servingVerdict } from './serving-rule.ts'
import type { SetClass } from './set-class.ts'
import type { Leaver } from './sets.ts'
import { SpanHold } from './span-hold.ts'

/** A takeover that can serve nothing after this lets go, and others try. */
const TAKEOVER_MS_MAX = 10_000
const SETTLE_RETRY_MS = 2_000

/** The beginning of an epoch: fence, serve what may be served, and settle what former epochs left in doubt. */
export class EpochOpening {
  readonly #ownership: Ownership
  readonly #fencing: Fencing
  readonly #reconcile: Reconcile
  readonly #startedMs: number
  #coldSinceMs: number | null = null
  #evaluating = false
  #served = false
  #hasServed = false
  #settling = false
  #settled = false
  /** In sync again since the others were told that the epoch has settled. */
  readonly #untold = new Set<Member>()
  readonly #former: FormerOperations
  /** The volume had not this range when the epoch began: nothing was ever written there before. */
  #freshFrom = Number.POSITIVE_INFINITY

  constructor(ownership: Ownership) {
    const { node, uuid } = ownership
    this.#ownership = ownership
    this.#startedMs = node.timers.bootMs()
    const ended = () => ownership.ended
    this.#fencing = new Fencing({
      node,
      volumeUuid: uuid,
      head: () => ownership.head,
      ended,
      opening: () => !this.#hasServed,
      superseded: () => ownership.superseded(),
      ahead: error => ownership.end(error.message),
      changed: () => {
        this.#holdFlushes()
        this.#evaluateLater()
      },
      isMember: peer => ownership.sets.current.some(set => set.includes(peer)),
    })
    this.#former = new FormerOperations(
      () => ownership.sets.current,
      peer => this.#fencing.answer(peer)?.log ?? null,
    )
    this.#reconcile = new Reconcile(
      {
        sizeBytes: ownership.head.sizeBytes,
        timers: node.timers,
        generation: () => ownership.head.generation,
        ended,
        members: range => ownership.members(range),
        isLeaving: range => ownership.extents.classes[range]?.frozen === true,
        atomics: () => this.#fencing.answers.flatMap(({ atomics }) => atomics ?? []),
        isSuspect: (member, segment) => this.#isSuspect(member, segment),
        reconciled: regions => {
          node.counters.regionsReconciled += regions
        },
      },
      [],
    )
  }

  get served(): boolean {
    return this.#served
  }

  get regionsLeft(): number {
    return this.#reconcile.regionsLeft
  }

  /** What became of an operation of the epoch before. */
  fate(operation: LoggedOperation): OperationFate {
    return this.#former.fate(operation)
  }

  joined(peerNumber: number, ranges: readonly number[]): void {
    this.#fencing.joined(peerNumber, ranges)
    this.#untold.add(this.#ownership.member(peerNumber))
    if (this.#settled) this.#tellUntold()
  }

  /** Whether nobody of `after` knows what somebody of `before` does, in some range. */
  losesSource(before: Sets, after: Sets): boolean {
    return !this.#settled && losesSource(before, after, (peer, range) => this.#fencing.isGood(peer, range))
  }

  /** Members of this range are still being made alike. */
  isReconciling(range: number): boolean {
    return this.#reconcile.isWaiting(range)
  }

  isCold(peerNumber: number): boolean {
    return this.#fencing.state(peerNumber) === 'cold'
  }

  /** Nothing of the volume is on its brick. */
  isEmpty(peerNumber: number): boolean {
    return this.#fencing.isEmpty(peerNumber)
  }

  /** The volume has these ranges too, from this one on. */
  grown(firstRange: number): void {
    this.#freshFrom = Math.min(this.#freshFrom, firstRange)
    for (const member of this.#ownership.sets.everybody) {
      if (!member.fenced && !this.#fencing.hasBegun(member.peerNumber)) void this.#fencing.fence(member)
    }
    this.#evaluateLater()
  }

  begin(): void {
    for (const member of this.#ownership.sets.everybody) void this.#fencing.fence(member)
  }

  stop(): void {
    this.#reconcile.stop()
  }

  tick(now: number): void {
    const { extents, node } = this.#ownership
    const { classes } = extents
    if (classes.length === 0 || !classes.every(isServed)) this.#evaluateLater()
    const limitMs = TAKEOVER_MS_MAX + (this.#coldSinceMs === null ? 0 : node.config.coldWaitMs)
    if (!this.#served && now - this.#startedMs > limitMs) this.#ownership.end('too few members answered')
  }

  #isSuspect(member: MemberPort, segment: number): boolean {
    return this.#fencing.answer(member.peerNumber)?.suspectSegments.includes(segment) ?? false
  }

  #evaluateLater(): void {
    if (this.#evaluating) return
    this.#evaluating = true
    void this.#ownership.serially(async () => {
      this.#evaluating = false
      await this.#evaluate()
    })
  }

  /** Which ranges may be served now that were not. PROTOCOL rule 7. */
  async #evaluate(): Promise<void> {
    const { sets, head } = this.#ownership
    const leavers = new Map<number, Leaver>()
    const ready: number[] = []
    let onlyCold = false
    for (const [range, set] of sets.current.entries()) {
      if (sets.isServed(range)) continue
      const needed = fencesNeeded(head, set.length)
      const verdict = servingVerdict(set, needed, peer => this.#stateIn(range, peer))
      if (verdict.may === 'serve') ready.push(range)
      else if (verdict.may === 'remove' && this.#areHopeless(verdict.peers)) {
        for (const peer of verdict.peers)
          leavers.set(peer, { peer, full: this.#fencing.state(peer) === 'failed' })
      } else if (verdict.may === 'onlyCold' && this.#coldWaited(verdict.everybody)) onlyCold = true
    }
    const haveLeft = leavers.size > 0 && (await this.#ownership.leave([...leavers.values()]))
    if (this.#ownership.ended) return
    // Who may not leave is asked for again by the next tick: at once would be for ever.
    if (haveLeft) this.#evaluateLater()
    else if (leavers.size === 0 && onlyCold) await this.#acceptCold()
    else if (ready.length > 0) await this.#serve(ready)
  }

  /** Where there is nothing yet, whoever may be sent operations is as good as any. */
  #stateIn(range: number, peer: number): FenceState {
    const isFresh = range >= this.#freshFrom && this.#ownership.member(peer).reachable
    return isFresh ? 'warm' : this.#fencing.state(peer)
  }

  #areHopeless(peers: readonly number[]): boolean {
    return peers.every(peer => this.#fencing.isHopeless(this.#ownership.member(peer)))
  }

  #coldWaited(everybody: boolean): boolean {
    const { timers, config } = this.#ownership.node
    const now = timers.bootMs()
    this.#coldSinceMs ??= now
    return everybody || now - this.#coldSinceMs >= config.coldWaitMs
  }

  /** What is on the disks stands; whoever had unflushed writes must hear of it. PROTOCOL rule 16. */
  async #acceptCold(): Promise<void> {
    const { keeper, sets, node, name } = this.#ownership
    const outcome = await keeper.change(head => ({
      head: { ...head, lossGeneration: head.lossGeneration + 1, setVersion: head.setVersion + 1 },
    }))
    if (outcome === 'superseded') this.#ownership.superseded()
    if (outcome !== 'changed') return
    const { lossGeneration } = this.#ownership.head
    for (const { peerNumber } of sets.everybody) this.#fencing.acceptAsWarm(peerNumber)
    const message = `volume ${name}: unflushed writes may be lost (${lossGeneration})`
    node.tellEvent('volume.loss', name, message)
    node.server.lost(this.#ownership, lossGeneration)
    this.#evaluateLater()
  }

  async #serve(ranges: readonly number[]): Promise<void> {
    const { head, sets } = this.#ownership
    if (head.out.length > 0) await sets.stampAll()
    if (this.#ownership.ended) return
    this.#hold(new Set(ranges))
    await this.#ownership.standAlone()
    this.#ownership.askGrants()
    this.#holdFlushes()
    this.#hasServed = true
    sets.serve(ranges)
    if (!this.#served) await this.#beginServer()
    if (!this.#ownership.ended) void this.#settle()
  }

  async #beginServer(): Promise<void> {
    const { node, name, epoch } = this.#ownership
    try {
      await node.server.begin(this.#ownership)
    } catch (error) {
      node.log.error({ volume: name, err: error }, 'a volume could not be served')
      return this.#ownership.end('the volume could not be served')
    }
    this.#served = true
    if (this.#ownership.ended) return node.server.end(this.#ownership)
    const { peerId } = node.network.self
    node.tellEvent('volume.takeover', name, `volume ${name} is served by peer ${peerId}, epoch ${epoch}`)
    this.#ownership.begun()
  }

  /** From the moment that a cold member may be sent any: not with what is suspect in it. PROTOCOL rule 15. */
  #holdFlushes(): void {
    const suspect = this.#fencing.answers.some(answer => answer.suspectSegments.length > 0)
    if (suspect && !this.#settled) this.#ownership.extents.setFlushesWait(true)
  }

  /** What is in doubt is locked before anybody can ask for it. */
  #hold(ranges: ReadonlySet<number>): void {
    const { queue, head, extents } = this.#ownership
    for (const range of ranges) this.#former.served(range)
    const spans = doubtfulSpans(this.#fencing.answers, head.sizeBytes).filter(({ startBytes }) =>
      ranges.has(Math.floor(startBytes / RANGE_BYTES)),
    )
    this.#reconcile.add(SpanHold.allAhead(queue, spans))
    // What waited for these ranges holds blocks before the locks above: it must not see them unreconciled. Nor may
    // what waited behind it, which is why these locks go ahead.
    if (spans.length > 0) extents.stopWaiting(ranges)
  }

  /** Reconciles, makes it durable, and tells the members that nothing of former epochs is in doubt any more. */
  async #settle(): Promise<void> {
    if (this.#settling) return
    this.#settling = true
    const { sets, extents, node } = this.#ownership
    while (!this.#ownership.ended && !this.#settled) {
      await this.#reconcile.run()
      // Until every range is served there may be more to come.
      if (!this.#ownership.ended && extents.classes.every(isServed)) {
        this.#ownership.forgetFormerMinimum()
        this.#untold.clear()
        this.#settled = await this.#tellSettled(sets.everybody)
      }
      if (!this.#settled) await new Promise<void>(resolve => node.timers.after(SETTLE_RETRY_MS, resolve))
    }
    extents.setFlushesWait(false)
    if (this.#settled) this.#tellUntold()
  }

  /** Copied like the others, it is as good as they are: nothing of it need be asked about at the next takeover. */
  #tellUntold(): void {
    if (this.#untold.size > 0) void this.#tellSettled([...this.#untold])
    this.#untold.clear()
  }

  async #tellSettled(members: readonly Member[]): Promise<boolean> {
    const ports = members.map(member => this.#ownership.port(member))
    try {
      await Promise.all(members.map(member => this.#trust(member)))
      await Promise.all(ports.map(port => port.flush()))
      await Promise.all(ports.map(port => port.order({ what: 'reconciled' })))
      return true
    } catch {
      return false
    }
  }

  /** Not with what it has been out of: only a copy makes it like the others there. */
  async #trust(member: Member): Promise<void> {
    const answer = this.#fencing.answer(member.peerNumber)
    if (answer === null || answer.continuous) return
    const { current } = this.#ownership.sets
    const isIn = (segment: number) =>
      current[Math.floor(segment / SEGMENTS_PER_RANGE)]?.includes(member.peerNumber) ?? false
    const segments = [...new Set([...answer.activeSegments, ...answer.suspectSegments])].filter(isIn)
    if (segments.length > 0) await this.#ownership.port(member).trustSegments(segments)
  }
}

function isServed({ served }: SetClass): boolean {
  return served
}
