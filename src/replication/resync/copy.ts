import { REGION_BYTES, REGIONS_PER_SEGMENT } from '../../store/layout.ts'
import type { Timers } from '../timers.ts'
import { CopyGate } from './copy-gate.ts'
import { CopyMeter } from './copy-meter.ts'
import { collectCopySet } from './copy-set.ts'
import { CopyFailure, RegionCopier } from './region-copier.ts'
import { REGIONS_PER_RANGE, type RegionSet } from './region-set.ts'
import type { CopyBudget, CopyKind, CopyProgress, MemberPort, ResyncOwner } from './resync-ports.ts'

/** Copies of regions under way at once, so that a link's round trip does not bound the speed. */
const COPIERS = 4
/** What comparing a region costs on the wire, at most. */
const COMPARED_BYTES = 256

export interface CopyOrder {
  readonly kind: CopyKind
  readonly joins: number
  readonly leaves: number | null
  readonly ranges: readonly number[]
  /** Generation that the joiner's removal began; 0 for one that is new there, and for full comparison. */
  readonly since: number
}

/**
 * Fills one brick with some ranges of a volume, and has it join their in-sync sets. Ended by the first failure, of
 * which nothing is left but regions that are equal already: the next copy finds them so.
 */
export class Copy {
  readonly order: CopyOrder
  readonly #owner: ResyncOwner
  readonly #timers: Timers
  readonly #budget: CopyBudget
  readonly #isFull: () => boolean
  readonly #meter: CopyMeter
  #failure: CopyFailure | null = null
  /** Of the joiner, when the copy began. */
  #incarnation: string | null = null
  #joiner: MemberPort | null = null

  /** `isFull`: the joiner is to get no more. PROTOCOL rule 21. */
  constructor(
    order: CopyOrder,
    owner: ResyncOwner,
    timers: Timers,
    budget: CopyBudget,
    isFull: () => boolean = () => false,
  ) {
    this.order = order
    this.#owner = owner
    this.#timers = timers
    this.#budget = budget
    this.#isFull = isFull
    this.#meter = new CopyMeter(timers.bootMs())
  }

  get progress(): CopyProgress {
    const nowMs = this.#timers.bootMs()
    const { kind, joins, leaves, ranges } = this.order
    const { regionsDone, regionsTotal, copiedBytes } = this.#meter
    return {
      volumeUuid: this.#owner.volumeUuid,
      kind,
      joins,
      leaves,
      ranges: ranges.length,
      regionsDone,
      regionsTotal,
      copiedBytes,
      bytesPerSecond: this.#meter.bytesPerSecond(nowMs),
      etaMs: this.#meter.etaMs(nowMs),
    }
  }

  /** Ends it before its next step; run() rejects with the reason. */
  stop(reason: string): void {
    this.#failure ??= new CopyFailure(reason)
  }

  /** Resolves once the joiner is in sync, by a confirmed transaction. Rejects with why it is not. */
  async run(): Promise<void> {
    const { joins, ranges } = this.order
    const { port: joiner, isNew } = await this.#owner.fence(joins)
    this.#joiner = joiner
    this.#incarnation = joiner.incarnation
    const since = isNew ? 0 : this.order.since
    this.#goOn()
    let isOn = true
    const takeOff = () => {
      // A write that it was asked for may fail when the next copy to the same brick has its own.
      if (isOn) this.#owner.setGate(joins, null)
      isOn = false
    }
    const gate = new CopyGate(joins, ranges, reason => {
      this.stop(reason)
      takeOff()
    })
    this.#owner.setGate(joins, gate)
    try {
      await this.#owner.begunOperationsEnded()
      const survivors = this.#survivors()
      const ownSegments = [...(await joiner.suspectSegments()), ...(await joiner.activeSegments())]
      const goOn = () => this.#goOn()
      const set = await collectCopySet({ ranges, since, joiner, survivors, ownSegments, goOn })
      gate.collected(set)
      this.#meter.begin(set.count, this.#timers.bootMs())
      await this.#copyAll(joiner, set, await suspects(survivors))
      await this.#join(joiner, gate, ownSegments)
    } finally {
      takeOff()
    }
  }

  #survivors(): MemberPort[] {
    const members = new Map<number, MemberPort>()
    for (const range of this.order.ranges) {
      for (const member of this.#owner.members(range)) members.set(member.peerNumber, member)
    }
    members.delete(this.order.joins)
    return [...members.values()]
  }

  async #copyAll(
    joiner: MemberPort,
    set: RegionSet,
    isSuspect: (member: MemberPort, segment: number) => boolean,
  ): Promise<void> {
    const runs = runsOf(set, Math.ceil(this.#owner.sizeBytes / REGION_BYTES))
    const done = (region: number) => {
      set.delete(region)
      this.#meter.regionsDone++
    }
    const copier = async () => {
      const regions = new RegionCopier(this.#owner, joiner, isSuspect)
      for (const [first, count] of runs) {
        await this.#afford(COMPARED_BYTES * count)
        for (const region of await regions.compare(first, count, done)) {
          this.#goOn()
          if (this.#isFull()) throw new CopyFailure(`the brick of peer ${joiner.peerNumber} is nearly full`)
          const before = regions.copiedBytes
          await regions.copy(region, done)
          this.#meter.copiedBytes += regions.copiedBytes - before
          await this.#afford(regions.copiedBytes - before)
        }
      }
    }
    const copiers = Array.from({ length: COPIERS }, async () => {
      try {
        await copier()
      } catch (error) {
        this.stop(error instanceof Error ? error.message : String(error))
        throw error
      }
    })
    // None may hold a block any more when this ends.
    for (const result of await Promise.allSettled(copiers))
      if (result.status === 'rejected') throw result.reason
  }

  /** Taken after the fact, with no block held: what is over the budget delays the next copy, not a client. */
  async #afford(bytes: number): Promise<void> {
    this.#goOn()
    await this.#budget.take(bytes)
    this.#goOn()
  }

  async #join(joiner: MemberPort, gate: CopyGate, ownSegments: readonly number[]): Promise<void> {
    gate.wantsFlush = true
    await this.#owner.begunOperationsEnded()
    this.#goOn()
    await joiner.flush()
    this.#goOn()
    const covered = new Set(this.order.ranges)
    const segmentsPerRange = REGIONS_PER_RANGE / REGIONS_PER_SEGMENT
    await joiner.trustSegments(
      ownSegments.filter(segment => covered.has(Math.floor(segment / segmentsPerRange))),
    )
    this.#goOn()
    const { ranges, joins, leaves } = this.order
    // A write that the joiner failed meanwhile was acknowledged without it.
    const stillEarned = () => this.#failure === null && this.#isSameProcess
    if (await this.#owner.change({ ranges, joins, leaves }, stillEarned)) return
    this.#goOn()
    throw new CopyFailure('the set had changed')
  }

  get #isSameProcess(): boolean {
    return this.#joiner === null || this.#joiner.incarnation === this.#incarnation
  }

  #goOn(): void {
    if (this.#owner.ended) this.stop('the epoch is over')
    // Fenced as a member of other ranges, it would answer; what it got before may have gone with its page cache.
    if (!this.#isSameProcess) this.stop('its process is another')
    if (this.#failure !== null) throw this.#failure
  }
}

async function suspects(
  members: readonly MemberPort[],
): Promise<(member: MemberPort, segment: number) => boolean> {
  const segments = new Map<number, Set<number>>()
  for (const member of members) segments.set(member.peerNumber, new Set(await member.suspectSegments()))
  return (member, segment) => segments.get(member.peerNumber)?.has(segment) ?? true
}

/** Neighbours within a segment, which one lock and one question cover. Shared by those who take from it. */
function* runsOf(set: RegionSet, end: number): Generator<[first: number, count: number]> {
  let first = -1
  let count = 0
  for (const region of set.regions(end)) {
    const isNext = region === first + count && region % REGIONS_PER_SEGMENT !== 0
    if (isNext) {
      count++
      continue
    }
    if (count > 0) yield [first, count]
    first = region
    count = 1
  }
  if (count > 0) yield [first, count]
}
