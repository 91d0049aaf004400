import type { PeerName, TellEvent } from '../replication.ts'
import type { Timer, Timers } from '../timers.ts'
import { Copy, type CopyOrder } from './copy.ts'
import { type LeaveOrder, nextChange } from './copy-plan.ts'
import { freeLeftovers } from './leftovers.ts'
import type { CopyBudget, CopyPlanner, CopyProgress, ResyncOwner } from './resync-ports.ts'

/** A joiner whose copy failed rests, twice as long each time. */
const REST_MS_MIN = 1_000
const REST_MS_MAX = 60_000
/** One that has become too full for what it was to get: what it has got so far is given back first. */
const REST_FULL_MS = 600_000
/** What nobody tells of is looked for this often: damping that ends, a wanted move, a brick away for too long. */
const LOOK_EVERY_MS = 5_000
/** A brick that could not be swept is not asked again before. */
const SWEEP_AGAIN_MS = 30_000

export interface CopyKeeperOptions {
  readonly owner: ResyncOwner
  /** Name of the volume, as the subject of events. */
  readonly volume: string
  readonly planner: CopyPlanner
  readonly recreateAfterMs: number
  readonly timers: Timers
  readonly budget: CopyBudget
  readonly tellEvent: TellEvent
  readonly peerName: PeerName
}

/**
 * Brings back who is out, replaces who is lost, and moves what shall be elsewhere: one copy at a time for each
 * owned volume, for the length of one epoch.
 */
export class CopyKeeper {
  readonly #options: CopyKeeperOptions
  readonly #restsUntilMs = new Map<number, number>()
  readonly #failures = new Map<number, number>()
  /** Peers whose brick may hold ranges that it is not placed on. */
  readonly #unswept = new Set<number>()
  /** Peers with a part of ranges that they are not placed on: kept for the next copy, as long as there is to be one. */
  readonly #unfinished = new Set<number>()
  readonly #sweptLater = new Set<number>()
  #running: Promise<void> | null = null
  #copy: Copy | null = null
  #timer: Timer | null = null
  #stopped = false

  constructor(options: CopyKeeperOptions) {
    this.#options = options
  }

  /** Of the copy under way. */
  get progress(): CopyProgress | null {
    return this.#copy?.progress ?? null
  }

  /** To be called when the set, the placement or a link has changed. */
  look(): void {
    if (this.#stopped || this.#options.owner.ended || this.#running !== null) return
    this.#timer?.cancel()
    this.#timer = null
    const step = this.#nextStep()
    if (step === null) {
      this.#timer = this.#options.timers.after(LOOK_EVERY_MS, () => this.look())
      return
    }
    this.#running = step().finally(() => {
      this.#running = null
      this.#copy = null
      this.look()
    })
  }

  /** This peer's brick answers (again). */
  connected(peerNumber: number): void {
    this.#restsUntilMs.delete(peerNumber)
    this.sweep([peerNumber])
  }

  /** What these peers kept of ranges that have moved goes, when there is nothing else to do. */
  sweep(peers: readonly number[]): void {
    for (const peer of peers) this.#unswept.add(peer)
    this.look()
  }

  /** Resolves when nothing is ordered any more. */
  async stop(reason: string): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    this.#copy?.stop(reason)
    await this.#running
  }

  #nextStep(): (() => Promise<void>) | null {
    const { owner, planner, timers, recreateAfterMs } = this.#options
    const order = nextChange({
      volumeUuid: owner.volumeUuid,
      nowMs: timers.bootMs(),
      outs: owner.outMembers(),
      planner,
      recreateAfterMs,
      isPlaced: (peer, range) => owner.isPlaced(peer, range),
      isServed: range => owner.isServed(range),
      restsUntilMs: this.#restsUntilMs,
    })
    if (order !== null) return () => (order.kind === 'leave' ? this.#leave(order) : this.#copyOver(order))
    for (const peer of this.#unfinished) if (!this.#isToGet(peer)) this.#giveUp(peer)
    const [peer] = this.#unswept
    return peer === undefined ? null : () => this.#sweep(peer)
  }

  /** Something that it is not placed on yet. */
  #isToGet(peer: number): boolean {
    const { owner, planner } = this.#options
    const { volumeUuid } = owner
    if (planner.isFull(peer)) return false
    if (planner.wanted(volumeUuid).some(({ joins }) => joins === peer)) return true
    return owner.outMembers().some(({ peerNumber, ranges }) => {
      return ranges.some(range => planner.substitute(volumeUuid, range, peerNumber) === peer)
    })
  }

  #giveUp(peer: number): void {
    this.#unfinished.delete(peer)
    this.#unswept.add(peer)
  }

  async #copyOver(order: CopyOrder): Promise<void> {
    const { owner, planner, timers, budget, tellEvent, volume } = this.#options
    const isReturn = order.kind === 'resync'
    const isFull = () => !isReturn && planner.isFull(order.joins)
    const copy = new Copy(order, owner, timers, budget, isFull)
    this.#copy = copy
    try {
      await copy.run()
    } catch (error) {
      this.#rest(order.joins, isFull() ? REST_FULL_MS : 0)
      if (!isReturn) this.#unfinished.add(order.joins)
      if (owner.ended || this.#stopped) return
      tellEvent('copy.ended', volume, `${this.#say(order)} ended early: ${messageOf(error)}`)
      return
    }
    this.#failures.delete(order.joins)
    if (order.leaves !== null) this.#unswept.add(order.leaves)
    const { copiedBytes, regionsTotal } = copy.progress
    tellEvent(
      'copy.done',
      volume,
      `${this.#say(order)} is done: ${regionsTotal} regions compared, ${copiedBytes} bytes copied`,
    )
  }

  async #leave({ leaves, ranges }: LeaveOrder): Promise<void> {
    if (await this.#changed(leaves, ranges)) this.#unswept.add(leaves)
    else this.#rest(leaves)
  }

  async #changed(leaves: number, ranges: readonly number[]): Promise<boolean> {
    try {
      return await this.#options.owner.change({ ranges, joins: null, leaves })
    } catch {
      return false
    }
  }

  /** A brick that cannot be asked, or refuses, is swept later, or when it connects the next time. */
  async #sweep(peer: number): Promise<void> {
    const { owner } = this.#options
    this.#unswept.delete(peer)
    let isAsked = false
    try {
      const brick = await owner.leftBehind(peer)
      isAsked = true
      if (brick !== null) await freeLeftovers(brick, owner.ranges, range => owner.isPlaced(peer, range))
    } catch (error) {
      if (owner.ended) return
      if (isAsked) this.#tellUnswept(peer, error)
      this.#sweepLater(peer)
    }
  }

  #sweepLater(peer: number): void {
    if (this.#sweptLater.has(peer)) return
    this.#sweptLater.add(peer)
    this.#options.timers.after(SWEEP_AGAIN_MS, () => {
      this.#sweptLater.delete(peer)
      this.sweep([peer])
    })
  }

  #tellUnswept(peer: number, error: unknown): void {
    const { tellEvent, peerName, volume } = this.#options
    tellEvent(
      'copy.unswept',
      volume,
      `peer ${peerName(peer)} keeps what it is not placed on: ${messageOf(error)}`,
    )
  }

  #say({ kind, joins, leaves, ranges }: CopyOrder): string {
    const { peerName } = this.#options
    const from = leaves === null ? '' : ` in place of peer ${peerName(leaves)}`
    return `${kind} onto peer ${peerName(joins)}${from}, ${ranges.length} range${ranges.length === 1 ? '' : 's'}`
  }

  #rest(peer: number, atLeastMs = 0): void {
    const failures = (this.#failures.get(peer) ?? 0) + 1
    this.#failures.set(peer, failures)
    const restMs = Math.max(atLeastMs, Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (failures - 1)))
    this.#restsUntilMs.set(peer, this.#options.timers.bootMs() + restMs)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
