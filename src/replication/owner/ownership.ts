import { BlockStatus } from '../../block/block-status.ts'
import { keys, type VolumeHead } from '../../control/layout.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Compare, KeyValue } from '../../metadata/metadata-store.ts'
import { SEGMENTS_PER_RANGE } from '../../store/layout.ts'
import { OperationQueue } from '../../volume/operation-queue.ts'
import type { SegmentsAnswer } from '../messages.ts'
import type { LoggedOperation, OperationFate } from '../operation-log.ts'
import { PeerStatus } from '../peer-network.ts'
import type { OwnedHere, OwnedStatistics } from '../replication.ts'
import { CopyKeeper } from '../resync/copy-keeper.ts'
import type { EarnedChange } from '../resync/resync-ports.ts'
import { BlockRepairs } from './block-repairs.ts'
import { Departures } from './departures.ts'
import { EpochMembers } from './epoch-members.ts'
import { EpochOpening } from './epoch-opening.ts'
import { EpochResync } from './epoch-resync.ts'
import { EpochSets } from './epoch-sets.ts'
import { countedUntilMs } from './grants.ts'
import { Growth } from './growth.ts'
import { type ChangeOutcome, HeadKeeper, type KnownBricks } from './head-keeper.ts'
import type { Member } from './member.ts'
import type { EpochMemberPort } from './member-port.ts'
import { MemberWatch } from './member-watch.ts'
import type { OwnerNode } from './node.ts'
import { ownedStatistics } from './owned-statistics.ts'
import { type EpochRunner, ReplicatedExtents } from './replicated-extents.ts'
import type { Leaver, Placement } from './sets.ts'

/** What is in flight may take so long to end before a planned release becomes a plain one. */
const RELEASE_MS_MAX = 5_000
/** How long buffers may stay with a link that does not answer after the end of an epoch. */
const BUFFERS_BACK_MS = 1_000

export interface OwnershipOptions {
  readonly node: OwnerNode
  readonly name: string
  /** The head as this owner's takeover left it. */
  readonly entry: KeyValue
  /** modRevision of the owner's key. */
  readonly ownerRevision: bigint
  readonly placement: Placement
  readonly names: KnownBricks
  readonly serving: (ownership: Ownership) => void
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
  readonly #members: EpochMembers
  readonly #opening: EpochOpening
  readonly #watch: MemberWatch
  readonly #resync: EpochResync
  readonly #copies: CopyKeeper
  readonly #departures: Departures
  readonly #growth: Growth
  readonly #repairs: BlockRepairs
  #ended = false
  #closing = false
  #work: Promise<void> = Promise.resolve()

  constructor(options: OwnershipOptions) {
    const { node, name, entry, placement, names } = options
    this.#options = options
    this.node = node
    this.name = name
    this.keeper = new HeadKeeper(node.metadata, node.timers, name, entry)
    const { uuid, epoch } = this.keeper.head
    this.uuid = uuid
    this.epoch = epoch
    this.#members = new EpochMembers(node, names, this)
    this.extents = new ReplicatedExtents({
      volumeUuid: uuid,
      epoch,
      timers: node.timers,
      runner: this,
      own: this.member(node.network.self.peerNumber),
      clock: () => node.store.nowMs(),
    })
    const ended = () => this.#ended
    this.sets = new EpochSets({
      name,
      keeper: this.keeper,
      placement,
      names: this.#members,
      extents: this.extents,
      orders: node.orders,
      timers: node.timers,
      member: peer => this.member(peer),
      ended,
      unheard: () => this.end('a member that M need does not hear of a set change'),
      joined: (peer, ranges) => this.#joined(peer, ranges),
      isReconciling: range => this.#opening.isReconciling(range),
      losesSource: (before, after) => this.#opening.losesSource(before, after),
      cannotLeave: leavers => this.#departures.cannotLeave(leavers),
      changed: (left, ejected) => this.#setsChanged(left, ejected),
    })
    this.#resync = new EpochResync(this, this.#members)
    this.#copies = new CopyKeeper({
      owner: this.#resync,
      volume: name,
      planner: node.planner,
      recreateAfterMs: node.config.recreateAfterMs,
      timers: node.timers,
      budget: node.budget,
      tellEvent: node.tellEvent,
      peerName: node.peerName,
    })
    this.#repairs = new BlockRepairs({
      queue: this.queue,
      members: range => this.members(range),
      isServed: range => this.sets.isServed(range),
      port: member => this.port(member),
      repaired: () => {
        node.counters.blocksRepaired++
      },
    })
    this.#opening = new EpochOpening(this)
    this.#departures = new Departures(this, this.#members, this.#opening)
    this.#growth = new Growth(this, this.#opening)
    this.#watch = new MemberWatch(this)
  }

  get head(): VolumeHead {
    return this.keeper.head
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Something is served, and the server has begun. */
  get served(): boolean {
    return this.#opening.served
  }

  get sizeBytes(): number {
    return this.#growth.sizeBytes
  }

  get setVersion(): number {
    return this.head.setVersion
  }

  get volumeUuid(): string {
    return this.uuid
  }

  fate(operation: LoggedOperation): OperationFate {
    return this.#opening.fate(operation)
  }

  stillOwned(): Compare[] {
    if (this.#ended) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    const key = keys.head(this.name)
    return [{ key, target: 'modRevision', is: '=', value: this.keeper.revision }]
  }

  get statistics(): OwnedStatistics {
    return ownedStatistics(this, this.#opening.regionsLeft, this.#copies.progress)
  }

  /** Every brick that has been fenced for this epoch: whose grants are asked for. */
  get fencedMembers(): readonly Member[] {
    return this.#members.fenced
  }

  member(peerNumber: number): Member {
    return this.#members.of(peerNumber)
  }

  port(member: Member): EpochMemberPort {
    return this.#members.port(member)
  }

  /** S(r), the own brick first, then those that kept their page cache. */
  members(range: number): EpochMemberPort[] {
    const set = (this.sets.current[range] ?? []).map(peer => this.member(peer))
    const rank = (member: Member) =>
      (this.#opening.isCold(member.peerNumber) ? 2 : 0) + (member.local === null ? 1 : 0)
    return set
      .sort((a, b) => rank(a) - rank(b) || a.peerNumber - b.peerNumber)
      .map(member => this.port(member))
  }

  /** Fences, and serves what may be served; resolves when the first range is, or the epoch has ended. */
  begin(): void {
    this.node.counters.takeovers++
    this.#opening.begin()
  }

  /** The server has begun: clients are served. */
  begun(): void {
    this.#options.serving(this)
    // Whoever was away when ranges moved may have met no owner since.
    this.#copies.sweep(this.#options.names.peers)
  }

  memberFailed(member: Member, status: PeerStatus): void {
    const full = status === BlockStatus.ioError || status === PeerStatus.unknownVolume
    this.wantOut(member.peerNumber, full)
  }

  superseded(): void {
    this.end('another epoch has begun')
  }

  /** The member is to leave as soon as a transaction says so, where M remain. */
  wantOut(peer: number, full: boolean): void {
    this.#departures.want(peer, full)
  }

  leave(leavers: readonly Leaver[]): Promise<boolean> {
    return this.#departures.leave(leavers)
  }

  /** This peer's brick was fenced for the epoch apart from the takeover: it comes back. */
  fenced(peer: number, setVersion: number): Member {
    return this.#members.returned(peer, setVersion)
  }

  async earn(change: EarnedChange): Promise<ChangeOutcome> {
    const outcome = await this.sets.earn(change)
    if (outcome === 'superseded') this.superseded()
    if (outcome === 'changed') await this.standAlone()
    return outcome
  }

  /** A link has come or gone. */
  linkChanged(peer: number, isUp: boolean): void {
    if (isUp && this.served) this.#copies.connected(peer)
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
    if (this.#ended) return
    // What a change of ours met is known already, and nothing has followed from it yet.
    this.keeper.learn(entry)
    this.#growth.look()
    if (this.head.minReplicas !== this.sets.minReplicas) {
      void this.serially(async () => this.sets.replaced(this.sets.placement))
    }
    this.forgetFormerMinimum()
    if (this.served) this.node.server.changed(this)
  }

  forgetFormerMinimum(): void {
    if (this.head.minReplicasBefore === undefined) return
    void this.serially(async () => {
      if ((await this.sets.forgetFormerMinimum()) === 'superseded') this.superseded()
    })
  }

  /**
   * PROTOCOL rule 11: only with a flush that every member acknowledged, in one and the same set. A brick that is out of
   * a range keeps what is active there: only that tells of a write which no member ever had.
   */
  async clear(segments: readonly number[]): Promise<void> {
    const { setVersion } = this
    const { current, everybody } = this.sets
    await Promise.all(everybody.map(member => this.port(member).flush()))
    if (this.setVersion !== setVersion || this.#departures.areWanted) return
    const orders = everybody.map(member => {
      const isIn = (segment: number) =>
        current[Math.floor(segment / SEGMENTS_PER_RANGE)]!.includes(member.peerNumber)
      return this.port(member).order({ what: 'clearSegments', segments: segments.filter(isIn) })
    })
    await Promise.all(orders)
  }

  segmentsOf(member: Member): Promise<SegmentsAnswer> {
    return this.port(member).segments()
  }

  repair(member: Member, offsetBytes: number): void {
    this.#repairs.ask(member, offsetBytes)
  }

  /** A grant was asked for at `sentAtMs` and has been given. */
  granted(member: Member, sentAtMs: number): void {
    member.grantedUntilMs = Math.max(member.grantedUntilMs, countedUntilMs(sentAtMs))
  }

  /** Stops at once; nothing is read or written under this epoch any more. Others are told in the background. */
  end(reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.keeper.end()
    this.extents.end()
    this.#opening.stop()
    void this.#copies.stop(reason)
    this.node.log.info({ volume: this.name, epoch: this.epoch, reason }, 'an ownership has ended')
    void this.#letGo()
  }

  /** As end(), after what is in flight has ended. */
  async release(reason: string): Promise<void> {
    if (this.served && !this.#closing && !this.#ended) {
      const timer = this.node.timers.after(RELEASE_MS_MAX, () => this.end(reason))
      await this.#close()
      timer.cancel()
    }
    this.end(reason)
  }

  async #letGo(): Promise<void> {
    const { node } = this
    node.timers.after(BUFFERS_BACK_MS, () => this.#takeBuffersBack())
    if (this.served && !this.#closing) await this.#close()
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

  async #close(): Promise<void> {
    this.#closing = true
    try {
      await this.node.server.end(this)
    } catch (error) {
      this.node.log.error({ volume: this.name, err: error }, 'a volume did not close')
    }
  }

  #takeBuffersBack(): void {
    const stuck = new Set<Member>()
    this.extents.eachAwaited((member, isOut) => {
      if (isOut && member.link !== null) stuck.add(member)
    })
    for (const member of stuck) member.link!.reset()
  }

  /** Whoever is alone in all its sets has nobody to ask about blocks in doubt. PROTOCOL rule 11. */
  async standAlone(): Promise<void> {
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

  #joined(peer: number, ranges: readonly number[]): void {
    this.#resync.setGate(peer, null)
    this.#opening.joined(peer, ranges)
    this.node.damping.joined(peer)
    this.node.tellEvent(
      'replica.joined',
      this.name,
      `peer ${this.node.peerName(peer)} is back in the in-sync sets of volume ${this.name}`,
    )
  }

  #setsChanged(left: readonly Member[], ejected: readonly Member[]): void {
    const { node } = this
    const stuck = new Set<Member>()
    this.extents.eachAwaited((member, isOut) => {
      if (isOut && member.link !== null && left.includes(member)) stuck.add(member)
    })
    // Its link may hold payloads whose buffers the operations get back when they end.
    for (const member of stuck) member.link!.reset()
    for (const member of ejected) {
      node.counters.ejections++
      node.damping.ejected(member.peerNumber)
      node.tellEvent(
        'replica.left',
        this.name,
        `peer ${node.peerName(member.peerNumber)} left the in-sync sets of volume ${this.name}${restOf(node, member)}`,
      )
    }
    if (!this.served) return
    node.server.changed(this)
    this.#copies.look()
  }

  /** At once, before the keeper of all grants does. */
  askGrants(): void {
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

  /** Called again and again; costs a quiet volume next to nothing, since there are thousands. */
  tick(now: number): void {
    if (this.#ended) return
    this.#opening.tick(now)
    this.extents.tick(now)
    this.#watch.tick(now)
    if (now - this.node.metadataAnsweredMs() > this.node.config.etcdGraceMs) {
      this.end('the metadata has been silent for too long')
    }
  }
}

/** What keeps a member that has left before out, for people who wonder why it does not come back. */
function restOf({ damping, timers }: OwnerNode, { peerNumber }: Member): string {
  const seconds = Math.round((damping.notBeforeMs(peerNumber) - timers.bootMs()) / 1000)
  return seconds > 0 ? `; it has left before, so that it may come back in ${seconds} s` : ''
}
