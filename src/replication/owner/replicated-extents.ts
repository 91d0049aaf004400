import type { BlockExtent } from '../../block/block-device.ts'
import { BlockKind, type BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { RANGE_BYTES } from '../../control/layout.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { VolumeExtents } from '../../store/brick.ts'
import { SEGMENTS_PER_RANGE } from '../../store/layout.ts'
import type { SegmentsAnswer } from '../messages.ts'
import type { PeerStatus } from '../peer-network.ts'
import type { JoinGate } from '../resync/resync-ports.ts'
import type { Timers } from '../timers.ts'
import { ActivityElsewhere } from './activity-elsewhere.ts'
import { CommitWindow } from './commit-window.ts'
import type { Member } from './member.ts'
import { OperationSlot } from './operation-slot.ts'
import { ReservedRegions } from './reserved-regions.ts'
import { SetClass } from './set-class.ts'
import type { SlotOwner } from './slot-owner.ts'

/** Finished slots kept for the next operations. */
const IDLE_SLOTS_MAX = 1024
/** An operation that has waited so long to begin fails with unavailable: hosts try again. */
export const WAIT_MS_MAX = 5_000

/** What the write path asks of, and tells, whoever runs the epoch. */
export interface EpochRunner {
  readonly setVersion: number
  memberFailed(member: Member, status: PeerStatus): void
  repair(member: Member, offsetBytes: number): void
  superseded(): void
  clear(segments: readonly number[]): Promise<void>
  /** What is active on a member's brick. */
  segmentsOf(member: Member): Promise<SegmentsAnswer>
}

export interface ReplicatedExtentsOptions {
  readonly volumeUuid: string
  readonly epoch: number
  readonly timers: Timers
  readonly runner: EpochRunner
  /** The own brick, which may come to hold a replica in the course of the epoch. */
  readonly own: Member | null
  /** The brick's clock: quiet segments are asked for by it. */
  readonly clock: () => number
}

/** Of what nobody else has to carry out: no member can have missed it. */
const NO_NUMBER = 0

const NOBODY = new SetClass([], 1, false)

/**
 * A volume's extents on the bricks of its in-sync sets, for one epoch. Above it the owner's queue keeps
 * overlapping operations apart; below it are the own brick and the links to the others.
 */
export class ReplicatedExtents implements VolumeExtents, SlotOwner {
  readonly volumeUuid: string
  readonly epoch: number
  readonly reserved = new ReservedRegions()
  readonly #timers: Timers
  readonly #runner: EpochRunner
  readonly #own: Member | null
  readonly #elsewhere: ActivityElsewhere
  readonly #window = new CommitWindow()
  readonly #idle: OperationSlot[] = []
  readonly #active = new Set<OperationSlot>()
  #parked: OperationSlot[] = []
  #classes: readonly SetClass[] = []
  #everybody: readonly Member[] = []
  #gates: readonly { readonly member: Member; readonly gate: JoinGate }[] = []
  #generation = 0
  #ended = false
  #flushesWait = false
  #failedAtBytes = 0
  #whenEmpty: (() => void)[] = []
  /** Who waits for grants without an operation: looks again whenever those that are parked do, and at each tick. */
  #whenLooking: (() => void)[] = []

  constructor(options: ReplicatedExtentsOptions) {
    this.volumeUuid = options.volumeUuid
    this.epoch = options.epoch
    this.#timers = options.timers
    this.#runner = options.runner
    this.#own = options.own
    const ask = (member: Member) => this.#runner.segmentsOf(member)
    this.#elsewhere = new ActivityElsewhere({ nowMs: options.clock, ask })
  }

  get failedAtBytes(): number {
    return this.#failedAtBytes
  }

  get usedBytes(): number {
    return this.#ownVolume?.usedBytes ?? 0
  }

  get generation(): number {
    return this.#generation
  }

  /** The owner of the epoch raises it with its orders to the members; here it is only shown. */
  set generation(generation: number) {
    if (generation > this.#generation) this.#generation = generation
  }

  get setVersion(): number {
    return this.#runner.setVersion
  }

  get watermark(): number {
    return this.#window.watermark
  }

  get ended(): boolean {
    return this.#ended
  }

  get everybody(): readonly Member[] {
    return this.#everybody
  }

  get gates(): readonly { readonly member: Member; readonly gate: JoinGate }[] {
    return this.#gates
  }

  get flushesWait(): boolean {
    return this.#flushesWait
  }

  get classes(): readonly SetClass[] {
    return this.#classes
  }

  get operationsInFlight(): number {
    return this.#active.size
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    const cls = this.#classOfSpan(offsetBytes, lengthBytes)
    if (cls?.local == null || !cls.served || this.#ended) return BlockStatus.wouldBlock
    const { volume } = cls.local.local!.replica
    const status = volume.readNow(offsetBytes, lengthBytes, into, at)
    if (status !== BlockStatus.ok) return BlockStatus.wouldBlock
    // Sampled first, checked after: PROTOCOL rule 4.
    return this.#timers.bootMs() < cls.readUntilMs ? status : BlockStatus.wouldBlock
  }

  writeNow(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    checksums: Uint32Array | null = null,
    stream = 0,
    sequence = 0,
  ): BlockStatus {
    const cls = this.#classOfSpan(offsetBytes, lengthBytes)
    if (cls?.local == null || cls.members.length !== 1 || !cls.served || cls.frozen)
      return BlockStatus.wouldBlock
    if (this.#ended || this.#gates.length > 0) return BlockStatus.wouldBlock
    const { replica } = cls.local.local!
    if (replica.admit(this.epoch, this.setVersion) !== BlockStatus.ok) return BlockStatus.wouldBlock
    cls.local.changes++
    const status = replica.volume.writeNow(offsetBytes, lengthBytes, from, at, checksums)
    // The next owner asks for it: its answer may be lost, or it overwrote what is asked for. PROTOCOL rule 18.
    if (status === BlockStatus.ok)
      replica.note(NO_NUMBER, 0, BlockKind.write, offsetBytes, lengthBytes, stream, sequence)
    return status
  }

  submit(operation: BlockOperation): void {
    const slot = this.#idle.pop() ?? new OperationSlot(this)
    this.#active.add(slot)
    slot.start(operation)
  }

  /**
   * As the own brick knows them; elsewhere everything counts as mapped. Waits for grants as a read does; rejects
   * with ERR_BLOCK_UNAVAILABLE when that takes too long or the epoch is over.
   */
  async extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    const sinceMs = this.#timers.bootMs()
    while (!this.#ended && this.#timers.bootMs() - sinceMs <= WAIT_MS_MAX) {
      const cls = this.#classOfSpan(offsetBytes, lengthBytes)
      if (cls?.local == null) return [{ offsetBytes, lengthBytes, mapped: true }]
      if (cls.served) {
        const found = await cls.local.local!.replica.volume.extents(offsetBytes, lengthBytes)
        // Sampled first, checked after: PROTOCOL rule 4.
        const { local, readUntilMs } = this.#classOfSpan(offsetBytes, lengthBytes) ?? NOBODY
        if (local === cls.local && this.#timers.bootMs() < readUntilMs && !this.#ended) return found
      }
      await new Promise<void>(resolve => this.#whenLooking.push(resolve))
    }
    throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
  }

  /**
   * Of ranges that the own brick is out of, what is active on it is what it must be asked about: their members say
   * what may be cleared there. What is in doubt in a range that is not served yet is not locked yet either.
   */
  quietSegments(quietSinceMs: number, atMost: number): number[] {
    const quiet = this.#ownVolume?.quietSegments(quietSinceMs, Number.MAX_SAFE_INTEGER) ?? []
    const isIn = (segment: number) => {
      const { local, served } = this.classOf(Math.floor(segment / SEGMENTS_PER_RANGE))
      return local !== null && served
    }
    const here = quiet.filter(isIn)
    const elsewhere = this.#elsewhere.quiet(quietSinceMs, atMost, this.#classes)
    // Neither keeps the other from being cleared.
    const ofElsewhere = Math.min(elsewhere.length, Math.max(Math.floor(atMost / 2), atMost - here.length))
    return [...here.slice(0, atMost - ofElsewhere), ...elsewhere.slice(0, ofElsewhere)]
  }

  async clearSegments(segments: readonly number[]): Promise<void> {
    await this.#runner.clear(segments)
    this.#elsewhere.cleared(segments)
  }

  wroteElsewhere(offsetBytes: number, lengthBytes: number): void {
    this.#elsewhere.wrote(offsetBytes, lengthBytes)
  }

  nowMs(): number {
    return this.#timers.bootMs()
  }

  classOf(range: number): SetClass {
    return this.#classes[range] ?? NOBODY
  }

  nextNumber(): number {
    return this.#window.next()
  }

  numberEnded(number: number): void {
    this.#window.end(number)
    if (this.#parked.length > 0) this.resumeParked()
  }

  park(slot: OperationSlot): void {
    this.#parked.push(slot)
  }

  memberFailed(member: Member, status: PeerStatus): void {
    this.#runner.memberFailed(member, status)
  }

  repair(member: Member, offsetBytes: number): void {
    this.#runner.repair(member, offsetBytes)
  }

  superseded(): void {
    this.#runner.superseded()
  }

  slotDone(slot: OperationSlot): void {
    const { operation } = slot
    if (operation.status === BlockStatus.mediumError) this.#failedAtBytes = operation.failedAtBytes
    this.#active.delete(slot)
    const at = this.#parked.indexOf(slot)
    if (at >= 0) this.#parked.splice(at, 1)
    if (this.#idle.length < IDLE_SLOTS_MAX) this.#idle.push(slot)
    operation.completion.blockDone(operation)
    if (this.#whenEmpty.length > 0) this.#tellEnded()
  }

  /** The sets are these from now on; what waits looks again, and nobody waits for those that left. */
  setClasses(classes: readonly SetClass[], everybody: readonly Member[], left: readonly Member[]): void {
    this.#classes = classes
    this.#everybody = everybody
    this.#elsewhere.setsChanged()
    for (const member of left) for (const slot of [...this.#active]) slot.memberLeft(member)
    this.resumeParked()
  }

  setGates(gates: readonly { readonly member: Member; readonly gate: JoinGate }[]): void {
    this.#gates = gates
  }

  setFlushesWait(wait: boolean): void {
    this.#flushesWait = wait
    if (!wait) this.resumeParked()
  }

  /** Grants have come, or sets have changed. */
  resumeParked(): void {
    this.#lookAgain()
    if (this.#parked.length === 0) return
    const parked = this.#parked
    this.#parked = []
    for (const slot of parked) slot.resume()
  }

  refreshGrants(): void {
    let before: SetClass | null = null
    for (const cls of this.#classes) {
      if (cls !== before) cls.refresh()
      before = cls
    }
    this.resumeParked()
  }

  /** Every operation that waits for members, with the bootMs since when. */
  eachAwaited(each: (member: Member, isOut: boolean, sinceMs: number, isFlush: boolean) => void): void {
    for (const slot of this.#active) {
      const isFlush = slot.kind === BlockKind.flush
      slot.awaited((member, isOut) => each(member, isOut, slot.sinceMs, isFlush))
    }
  }

  /** Sends again what connections lost; ends what has waited too long to begin. */
  tick(now: number): void {
    this.#lookAgain()
    if (this.#active.size === 0) return
    for (const slot of [...this.#active]) {
      if (slot.parked && now - slot.sinceMs > WAIT_MS_MAX) slot.stop()
      else slot.sendAgain()
    }
  }

  /** Ends, with unavailable, what waits for these ranges to be served. */
  stopWaiting(ranges: ReadonlySet<number>): void {
    for (const slot of [...this.#active]) {
      if (slot.parked && ranges.has(Math.floor(slot.offsetBytes / RANGE_BYTES))) slot.stop()
    }
  }

  /** Resolves when every operation that has begun before this call has ended. */
  async begunOperationsEnded(): Promise<void> {
    const begun = [...this.#active].filter(slot => slot.begun).map(slot => ({ slot, use: slot.use }))
    while (begun.some(({ slot, use }) => slot.use === use && this.#active.has(slot))) await this.#nextEnd()
  }

  /** Resolves when nothing is in flight. */
  async drained(): Promise<void> {
    while (this.#active.size > 0) await this.#nextEnd()
  }

  /** Refuses everything from now on; what is in flight ends with unavailable once its buffers are back. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#lookAgain()
    queueMicrotask(() => {
      for (const slot of [...this.#active]) slot.stop()
    })
  }

  get #ownVolume(): VolumeExtents | null {
    return this.#own?.fenced === true ? this.#own.local!.replica.volume : null
  }

  #lookAgain(): void {
    if (this.#whenLooking.length === 0) return
    const looking = this.#whenLooking
    this.#whenLooking = []
    for (const look of looking) look()
  }

  #nextEnd(): Promise<void> {
    return new Promise(resolve => this.#whenEmpty.push(resolve))
  }

  #tellEnded(): void {
    const waiting = this.#whenEmpty
    this.#whenEmpty = []
    for (const resolve of waiting) resolve()
  }

  #classOfSpan(offsetBytes: number, lengthBytes: number): SetClass | null {
    const range = Math.floor(offsetBytes / RANGE_BYTES)
    if (offsetBytes + lengthBytes > (range + 1) * RANGE_BYTES) return null
    return this.#classes[range] ?? null
  }
}
