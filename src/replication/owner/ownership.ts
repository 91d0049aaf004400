import { BlockStatus } from '../../block/block-status.ts'
import { keys, RANGE_BYTES, type VolumeHead } from '../../control/layout.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Compare, KeyValue } from '../../metadata/metadata-store.ts'
import { BLOCK_BYTES } from '../../store/layout.ts'
import { OperationQueue } from '../../volume/operation-queue.ts'
import { PeerStatus } from '../peer-network.ts'
import type { OwnedHere, OwnedStatistics, RecentOperation } from '../replication.ts'
import { CopyKeeper } from '../resync/copy-keeper.ts'
import type { EarnedChange } from '../resync/resync-ports.ts'
import type { Timer } from '../timers.ts'
import { doubtfulSpans } from './doubts.ts'
import { EpochResync } from './epoch-resync.ts'
import { EpochSets } from './epoch-sets.ts'
import { Fencing } from './fencing.ts'
import { countedUntilMs } from './grants.ts'
import { type ChangeOutcome, HeadKeeper, readPlacement } from './head-keeper.ts'
import { LocalBrick, Member } from './member.ts'
import { EpochMemberPort } from './member-port.ts'
import type { OwnerNode } from './node.ts'
import { Reconcile } from './reconcile.ts'
import { type EpochRunner, ReplicatedExtents } from './replicated-extents.ts'
import { servingVerdict } from './serving-rule.ts'
import { type BrickNames, type Leaver, type Placement, removeMembers } from './sets.ts'
import { SpanHold } from './span-hold.ts'

const TICK_MS = 100
/** An owner that reaches fewer than M members for so long lets go. PROTOCOL rule 2. */
const REACH_MS = 2_000
/** A takeover that can serve nothing after this lets go, and others try. */
const TAKEOVER_MS_MAX = 10_000
/** How long buffers may stay with a link that does not answer after the end of an epoch. */
const BUFFERS_BACK_MS = 1_000
const REPAIRS_WAITING_MAX = 1_024

export interface OwnershipOptions {
  readonly node: OwnerNode
  readonly name: string
  /** The head as this owner's takeover left it. */
  readonly entry: KeyValue
  /** modRevision of the owner's key. */
  readonly ownerRevision: bigint
  readonly placement: Placement
  readonly names: BrickNames
  readonly ended: (ownership: Ownership) => void
}

/** One epoch of one volume in the hands of this daemon: from the fence to the end. */
export class Ownership implements OwnedHere, EpochRunner {
  readonly name: string
  readonly uuid: string
  readonly epoch: number
  readonly queue = new OperationQueue()
  readonly extents: ReplicatedExtents
  readonly sets: EpochSets
  readonly keeper: HeadKeeper
  readonly node: OwnerNode
  readonly #options: OwnershipOptions
  readonly #members = new Map<number, Member>()
  readonly #ports = new Map<number, EpochMemberPort>()
  readonly #fencing: Fencing
  readonly #reconcile: Reconcile
  readonly #resync: EpochResync
  readonly #copies: CopyKeeper
  readonly #wantOut = new Map<number, Leaver>()
  readonly #repairs = new Set<string>()
  readonly #startedMs: number
  #recent: RecentOperation[] = []
  #ended = false
  #served = false
  #settled = false
  #timer: Timer | null = null
  #work: Promise<void> = Promise.resolve()
  #unreachedSinceMs: number | null = null
  #coldSinceMs: number | null = null

  constructor(options: OwnershipOptions) {
    const { node, name, entry, placement, names } = options
    this.#options = options
    this.node = node
    this.name = name
    this.keeper = new HeadKeeper(node.metadata, node.timers, name, entry)
    const { uuid, epoch } = this.keeper.head
    this.uuid = uuid
    this.epoch = epoch
    this.#startedMs = node.timers.bootMs()
    const own = placement.some(peers => peers.includes(node.network.self.peerNumber))
      ? this.member(node.network.self.peerNumber)
      : null
    this.extents = new ReplicatedExtents({ volumeUuid: uuid, epoch, timers: node.timers, runner: this, own })
    const ended = () => this.#ended
    this.sets = new EpochSets({
      name,
      keeper: this.keeper,
      placement,
      names,
      extents: this.extents,
      orders: node.orders,
      timers: node.timers,
      member: peer => this.member(peer),
      ended,
      unheard: () => this.end('a member that M need does not hear of a set change'),
      joined: peer => this.#joined(peer),
      cannotLeave: leavers => this.#cannotLeave(leavers),
      changed: left => this.#setsChanged(left),
    })
    this.#resync = new EpochResync(this, names)
    this.#copies = new CopyKeeper({
      owner: this.#resync,
      volume: name,
      planner: node.planner,
      timers: node.timers,
      budget: node.budget,
      tellEvent: node.tellEvent,
    })
    this.#fencing = new Fencing({
      node,
      volumeUuid: uuid,
      head: () => this.head,
      ended,
      superseded: () => this.superseded(),
      ahead: error => this.end(error.message),
      changed: () => this.#evaluateLater(),
    })
    this.#reconcile = new Reconcile(
      {
        sizeBytes: this.head.sizeBytes,
        timers: node.timers,
        generation: () => this.head.generation,
        ended,
        members: range => this.members(range),
        isSuspect: (member, segment) =>
          this.#fencing.answer(member.peerNumber)?.suspectSegments.includes(segment) ?? false,
        reconciled: regions => {
          node.counters.regionsReconciled += regions
        },
      },
      [],
    )
  }

  get head(): VolumeHead {
    return this.keeper.head
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Something is served, and the server has begun. */
  get served(): boolean {
    return this.#served
  }

  get setVersion(): number {
    return this.head.setVersion
  }

  get volumeUuid(): string {
    return this.uuid
  }

  get recent(): readonly RecentOperation[] {
    return this.#recent
  }

  stillOwned(): Compare[] {
    if (this.#ended) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    const key = keys.head(this.name)
    return [{ key, target: 'modRevision', is: '=', value: this.keeper.revision }]
  }

  get statistics(): OwnedStatistics {
    const { current, placement } = this.sets
    const peers = [...new Set(placement.flat())].sort((a, b) => a - b)
    const isOut = (peer: number) =>
      placement.some((all, r) => all.includes(peer) && !current[r]!.includes(peer))
    return {
      name: this.name,
      uuid: this.uuid,
      epoch: this.epoch,
      inSync: peers.filter(peer => !isOut(peer)),
      out: peers.filter(isOut),
      rangesWaiting: placement.filter((_, range) => !this.sets.isServed(range)).length,
      regionsToReconcile: this.#reconcile.regionsLeft,
      operationsInFlight: this.extents.operationsInFlight,
      copy: this.#copies.progress,
      readableUntilMs: this.extents.classes.reduce(
        (until, cls) => Math.min(until, cls.readUntilMs),
        Infinity,
      ),
    }
  }

  /** Every brick that has been fenced for this epoch: whose grants are asked for. */
  get fencedMembers(): Member[] {
    return [...this.#members.values()].filter(member => member.fenced)
  }

  member(peerNumber: number): Member {
    const known = this.#members.get(peerNumber)
    if (known !== undefined) return known
    const { network, replica, store, links } = this.node
    const isSelf = peerNumber === network.self.peerNumber
    const brick = isSelf ? network.self.brickUuid : (this.#options.names.brickOf(peerNumber) ?? '')
    const local = isSelf ? new LocalBrick(replica, store, this.keeper.head.uuid) : null
    const member = new Member(peerNumber, brick, isSelf ? null : links.to(peerNumber), local)
    this.#members.set(peerNumber, member)
    return member
  }

  port(member: Member): EpochMemberPort {
    let port = this.#ports.get(member.peerNumber)
    if (port === undefined) {
      port = new EpochMemberPort(member, this.node.orders, this)
      this.#ports.set(member.peerNumber, port)
    }
    return port
  }

  /** S(r), the own brick first, then those that kept their page cache. */
  members(range: number): EpochMemberPort[] {
    const set = (this.sets.current[range] ?? []).map(peer => this.member(peer))
    const rank = (member: Member) =>
      (this.#fencing.state(member.peerNumber) === 'cold' ? 2 : 0) + (member.local === null ? 1 : 0)
    return set.sort((a, b) => rank(a) - rank(b)).map(member => this.port(member))
  }

  /** Fences, and serves what may be served; resolves when the first range is, or the epoch has ended. */
  begin(): void {
    this.node.counters.takeovers++
    for (const member of this.sets.everybody) void this.#fencing.fence(member)
    this.#tickLater()
  }

  memberFailed(member: Member, status: PeerStatus): void {
    const full = status === BlockStatus.ioError || status === PeerStatus.unknownVolume
    this.wantOut(member.peerNumber, full)
  }

  mustHave(joiner: Member): boolean {
    return this.sets.joining === joiner
  }

  superseded(): void {
    this.end('another epoch has begun')
  }

  /** The member is to leave as soon as a transaction says so, where M remain. */
  wantOut(peer: number, full: boolean): void {
    const before = this.#wantOut.get(peer)
    if (this.#ended || (before !== undefined && (before.full || !full))) return
    this.#wantOut.set(peer, { peer, full })
    void this.serially(() => this.#removeWanted())
  }

  /** This peer's brick was fenced for the epoch apart from the takeover: it comes back. */
  fenced(peer: number, setVersion: number): Member {
    const member = this.member(peer)
    const identity = member.link?.identity ?? this.node.network.self
    member.incarnation = identity.incarnation
    member.brickUuid = identity.brickUuid
    member.setVersion = setVersion
    member.fenced = true
    member.changes++
    return member
  }

  async earn(change: EarnedChange): Promise<ChangeOutcome> {
    const outcome = await this.sets.earn(change)
    this.#changeFailed(outcome)
    if (outcome === 'changed') await this.#standAlone()
    return outcome
  }

  /** A link has come or gone. */
  linkChanged(peer: number, isUp: boolean): void {
    if (isUp && this.#served) this.#copies.connected(peer)
  }

  /** One after the other: fences' outcomes, set changes, joins. */
  serially(step: () => Promise<void>): Promise<void> {
    const run = this.#work.then(async () => {
      if (!this.#ended) await step()
    })
    this.#work = run.catch(error => {
      this.node.log.error({ volume: this.name, err: error }, 'a step of a volume owner failed')
    })
    return run
  }

  /** What a watch has shown of this volume. */
  learn(entry: KeyValue): void {
    const { sizeBytes } = this.head
    if (this.#ended || !this.keeper.learn(entry)) return
    if (this.head.sizeBytes !== sizeBytes) void this.serially(() => this.#grown())
    else this.node.server.changed(this)
  }

  /** PROTOCOL rule 11: only with a flush that every member acknowledged, in one and the same set. */
  async clear(segments: readonly number[]): Promise<void> {
    const { setVersion } = this
    const members = this.sets.everybody
    await Promise.all(members.map(member => this.port(member).flush()))
    if (this.setVersion !== setVersion || this.#wantOut.size > 0) return
    await Promise.all(members.map(member => this.port(member).order({ what: 'clearSegments', segments })))
  }

  repair(member: Member, offsetBytes: number): void {
    const block = Math.floor(offsetBytes / BLOCK_BYTES) * BLOCK_BYTES
    const key = `${member.peerNumber} ${block}`
    if (this.#repairs.has(key) || this.#repairs.size >= REPAIRS_WAITING_MAX) return
    this.#repairs.add(key)
    void this.#repair(member, block).finally(() => this.#repairs.delete(key))
  }

  /** A grant was asked for at `sentAtMs` and has been given. */
  granted(member: Member, sentAtMs: number): void {
    member.grantedUntilMs = Math.max(member.grantedUntilMs, countedUntilMs(sentAtMs))
  }

  /** Stops at once; nothing is read or written under this epoch any more. Others are told in the background. */
  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#timer?.cancel()
    this.keeper.end()
    this.extents.end()
    this.#reconcile.stop()
    void this.#copies.stop(reason)
    this.node.log.info({ volume: this.name, epoch: this.epoch, reason }, 'an ownership has ended')
    void this.#letGo()
  }

  /** As end(), after what is in flight has ended. */
  async release(reason: string): Promise<void> {
    if (this.#served && !this.#ended) {
      this.#served = false
      await this.node.server.end(this)
    }
    this.end(reason)
  }

  async #letGo(): Promise<void> {
    const { node } = this
    node.timers.after(BUFFERS_BACK_MS, () => this.#takeBuffersBack())
    if (this.#served)
      await node.server.end(this).catch(error => node.log.error({ err: error }, 'a volume did not close'))
    const terms = { volumeUuid: this.uuid, epoch: this.epoch, setVersion: this.setVersion }
    for (const member of this.fencedMembers) {
      void node.orders.ask(member.peerNumber, terms, { what: 'release' })
    }
    const key = keys.owner(this.name)
    const value = this.#options.ownerRevision
    try {
      await node.metadata.transact({
        compare: [{ key, target: 'modRevision', is: '=', value }],
        success: [{ do: 'delete', key }],
      })
    } catch {
      // The lease, or the members' word, ends it as well.
    }
    this.#options.ended(this)
  }

  #takeBuffersBack(): void {
    const stuck = new Set<Member>()
    this.extents.eachAwaited((member, isOut) => {
      if (isOut && member.link !== null) stuck.add(member)
    })
    for (const member of stuck) member.link!.reset()
  }

  #evaluateLater(): void {
    void this.serially(() => this.#evaluate())
  }

  /** Which ranges may be served now that were not. PROTOCOL rule 7. */
  async #evaluate(): Promise<void> {
    const leavers = new Map<number, Leaver>()
    const ready: number[] = []
    let onlyCold = false
    const { current } = this.sets
    for (const [range, set] of current.entries()) {
      if (this.sets.isServed(range)) continue
      const verdict = servingVerdict(set, this.head.minReplicas, peer => this.#fencing.state(peer))
      if (verdict.may === 'serve') ready.push(range)
      else if (
        verdict.may === 'remove' &&
        verdict.peers.every(peer => this.#fencing.isHopeless(this.member(peer)))
      ) {
        for (const peer of verdict.peers) leavers.set(peer, { peer, full: this.#fencing.lostAll(peer) })
      } else if (verdict.may === 'onlyCold' && this.#coldWaited(verdict.everybody)) onlyCold = true
    }
    if (leavers.size > 0) {
      await this.#leave([...leavers.values()])
      if (!this.#ended) this.#evaluateLater()
      return
    }
    if (onlyCold) return this.#acceptCold()
    if (ready.length > 0) await this.#serve(ready)
  }

  #coldWaited(everybody: boolean): boolean {
    const now = this.node.timers.bootMs()
    this.#coldSinceMs ??= now
    return everybody || now - this.#coldSinceMs >= this.node.config.coldWaitMs
  }

  /** What is on the disks stands; whoever had unflushed writes must hear of it. PROTOCOL rule 16. */
  async #acceptCold(): Promise<void> {
    const outcome = await this.keeper.change(head => ({
      head: { ...head, lossGeneration: head.lossGeneration + 1, setVersion: head.setVersion + 1 },
    }))
    if (outcome !== 'changed') return this.#changeFailed(outcome)
    const { lossGeneration } = this.head
    for (const member of this.sets.everybody) {
      const answer = this.#fencing.answer(member.peerNumber)
      if (answer !== null) this.#fencing.acceptAsWarm(member.peerNumber)
    }
    this.node.tellEvent(
      'volume.loss',
      this.name,
      `volume ${this.name}: unflushed writes may be lost (${lossGeneration})`,
    )
    this.node.server.lost(this, lossGeneration)
    this.#evaluateLater()
  }

  async #serve(ranges: readonly number[]): Promise<void> {
    const { node } = this
    if (this.head.out.length > 0) await this.sets.stampAll()
    if (this.#ended) return
    this.#hold()
    await this.#standAlone()
    this.#askGrants()
    this.sets.serve(ranges)
    this.extents.setFlushesWait(this.#fencing.answers.some(answer => answer.suspectSegments.length > 0))
    if (this.#served || this.#ended) return
    this.#recent = this.#fencing.answers
      .flatMap(({ recent }) => recent)
      .map(([stream, sequence]) => ({ stream, sequence }))
    try {
      await node.server.begin(this)
    } catch (error) {
      node.log.error({ volume: this.name, err: error }, 'a volume could not be served')
      return this.end('the volume could not be served')
    }
    this.#served = true
    if (this.#ended) return void node.server.end(this)
    node.tellEvent(
      'volume.takeover',
      this.name,
      `volume ${this.name} is served by peer ${node.network.self.peerId}, epoch ${this.epoch}`,
    )
    void this.#settle()
    this.#copies.look()
  }

  /** What is in doubt is locked before anybody can ask for it. */
  #hold(): void {
    if (this.#served) return
    const spans = doubtfulSpans(this.#fencing.answers, this.head.sizeBytes)
    this.#reconcile.add(
      spans.map(({ startBytes, endBytes }) => new SpanHold(this.queue, startBytes, endBytes)),
    )
  }

  /** Reconciles, makes it durable, and tells the members that nothing of former epochs is in doubt any more. */
  async #settle(): Promise<void> {
    await this.#reconcile.run()
    while (!this.#ended && !this.#settled) {
      try {
        const members = this.sets.everybody
        await Promise.all(members.map(member => this.#trust(member)))
        await Promise.all(members.map(member => this.port(member).flush()))
        await Promise.all(members.map(member => this.port(member).order({ what: 'reconciled' })))
        this.#settled = true
        this.extents.setFlushesWait(false)
      } catch {
        await new Promise<void>(resolve => {
          this.node.timers.after(REACH_MS, resolve)
        })
      }
    }
  }

  async #trust(member: Member): Promise<void> {
    const answer = this.#fencing.answer(member.peerNumber)
    if (answer === null || answer.continuous) return
    const segments = [...new Set([...answer.activeSegments, ...answer.suspectSegments])]
    if (segments.length > 0) await this.port(member).trustSegments(segments)
  }

  /** Whoever is alone in all its sets has nobody to ask about blocks in doubt. PROTOCOL rule 11. */
  async #standAlone(): Promise<void> {
    const { current } = this.sets
    for (const member of this.sets.everybody) {
      const alone = current.every(set => !set.includes(member.peerNumber) || set.length === 1)
      if (alone === member.standsAlone) continue
      try {
        await this.port(member).order({ what: 'standAlone', alone })
        member.standsAlone = alone
      } catch {
        // It is told at the next change of the sets; until then blocks in doubt are errors there.
      }
    }
  }

  async #removeWanted(): Promise<void> {
    const wanted = [...this.#wantOut.values()].filter(({ peer }) =>
      this.sets.current.some(set => set.includes(peer)),
    )
    this.#wantOut.clear()
    if (wanted.length > 0) await this.#leave(wanted)
  }

  async #leave(leavers: readonly Leaver[]): Promise<void> {
    const { names } = this.#options
    if (removeMembers(this.head, this.sets.placement, names, leavers) === null)
      return this.#cannotLeave(leavers)
    const outcome = await this.sets.remove(leavers)
    if (outcome !== 'changed') return this.#changeFailed(outcome)
    await this.#standAlone()
  }

  /** M are needed: one whose process is another takes its place again only by a new epoch. */
  #cannotLeave(leavers: readonly Leaver[]): void {
    if (leavers.some(({ peer }) => this.member(peer).restarted))
      this.end('a member that M need has restarted')
  }

  #changeFailed(outcome: string): void {
    if (outcome === 'superseded') this.superseded()
  }

  #joined(peer: number): void {
    this.#resync.setGate(peer, null)
    this.node.tellEvent(
      'replica.joined',
      this.name,
      `peer ${peer} is back in the in-sync sets of volume ${this.name}`,
    )
  }

  #setsChanged(left: readonly Member[]): void {
    const { node } = this
    const stuck = new Set<Member>()
    this.extents.eachAwaited((member, isOut) => {
      if (isOut && member.link !== null && left.includes(member)) stuck.add(member)
    })
    // Its link may hold payloads whose buffers the operations get back when they end.
    for (const member of stuck) member.link!.reset()
    for (const member of left) {
      node.counters.ejections++
      node.damping.ejected(member.peerNumber)
      node.tellEvent(
        'replica.left',
        this.name,
        `peer ${member.peerNumber} left the in-sync sets of volume ${this.name}`,
      )
    }
    if (!this.#served) return
    node.server.changed(this)
    this.#copies.look()
  }

  async #grown(): Promise<void> {
    const placement = await readPlacement(this.node.metadata, this.name)
    const { sizeBytes } = this.head
    for (const member of this.sets.everybody) await this.port(member).order({ what: 'growVolume', sizeBytes })
    const before = this.sets.placement.length
    this.sets.replaced(placement)
    const fresh = placement.map((_, range) => range).slice(before)
    this.sets.serve(fresh)
    this.node.server.changed(this)
  }

  #askGrants(): void {
    const { replica, timers } = this.node
    for (const member of this.fencedMembers) {
      if (member.local !== null) {
        const now = timers.bootMs()
        if (replica.volume(this.uuid)?.renew(this.epoch)) this.granted(member, now)
      } else void this.#askGrant(member)
    }
  }

  async #askGrant(member: Member): Promise<void> {
    const { orders, timers } = this.node
    const sentAtMs = timers.bootMs()
    const terms = { volumeUuid: this.uuid, epoch: this.epoch, setVersion: this.setVersion }
    const volumes = [{ uuid: this.uuid, epoch: this.epoch }]
    const { status, body } = await orders.ask(member.peerNumber, terms, { what: 'renew', volumes })
    if (status !== BlockStatus.ok || (body as { refused: unknown[] }).refused.length > 0) return
    this.granted(member, sentAtMs)
    this.extents.refreshGrants()
  }

  async #repair(member: Member, block: number): Promise<void> {
    const range = Math.floor(block / RANGE_BYTES)
    const hold = new SpanHold(this.queue, block, block + BLOCK_BYTES)
    const buffer = Buffer.allocUnsafe(BLOCK_BYTES)
    try {
      await hold.begun
      for (const source of this.members(range)) {
        if (source.peerNumber === member.peerNumber) continue
        if ((await source.read(block, BLOCK_BYTES, buffer, 0)).status !== BlockStatus.ok) continue
        await this.port(member).repair(block, BLOCK_BYTES, buffer, 0)
        this.node.counters.blocksRepaired++
        return
      }
    } catch {
      // The next read that finds it bad asks again.
    } finally {
      hold.release()
    }
  }

  #tickLater(): void {
    this.#timer = this.node.timers.after(TICK_MS, () => {
      if (this.#ended) return
      this.#tick()
      if (!this.#ended) this.#tickLater()
    })
  }

  #tick(): void {
    const { config, timers } = this.node
    const now = timers.bootMs()
    if (!this.#served) {
      if (
        now - this.#startedMs >
        TAKEOVER_MS_MAX + config.coldWaitMs * (this.#coldSinceMs === null ? 0 : 1)
      ) {
        return this.end('too few members answered')
      }
    }
    if (this.extents.classes.some(cls => !cls.served) || this.extents.classes.length === 0)
      this.#evaluateLater()
    this.extents.tick()
    this.extents.eachAwaited((member, _isOut, sinceMs) => {
      if (now - sinceMs > config.ejectAfterMs) this.wantOut(member.peerNumber, false)
    })
    this.#watchMembers(now)
    if (this.node.metadataSilentForMs() > config.etcdGraceMs)
      this.end('the metadata has been silent for too long')
  }

  #watchMembers(now: number): void {
    const { config } = this.node
    for (const member of this.fencedMembers) {
      if (member.reachable) member.unreachableSinceMs = null
      else member.unreachableSinceMs ??= now
      const since = member.unreachableSinceMs
      if (since !== null && (member.restarted || now - since > config.ejectAfterMs)) {
        this.wantOut(member.peerNumber, false)
      }
    }
    const served = this.extents.classes.filter(cls => cls.served)
    const reached = served.length === 0 || served.some(cls => cls.reachable >= cls.minReplicas)
    if (reached) this.#unreachedSinceMs = null
    else this.#unreachedSinceMs ??= now
    if (this.#unreachedSinceMs !== null && now - this.#unreachedSinceMs > REACH_MS) {
      this.end('fewer members than M are in reach')
    }
  }
}
