import { BlockKind, type BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { RANGE_BYTES } from '../../control/layout.ts'
import { checksumBlocks } from '../../lib/block-checksums.ts'
import { STORE_BLOCK_BYTES } from '../../volume/block-alignment.ts'
import { PeerStatus, UNKNOWN_CHECKSUM } from '../peer-network.ts'
import type { JoinGate } from '../resync/resync-ports.ts'
import type { Member } from './member.ts'
import { MemberOperation, type Piece } from './member-operation.ts'
import { isInPieces, PIECE_BYTES_MAX, pieceBytes } from './pieces.ts'
import { ReadSources } from './read-sources.ts'
import type { SetClass } from './set-class.ts'
import type { SlotOwner } from './slot-owner.ts'

/** Of the piece that is being sent to its members: the links want it as a whole, the own brick by block. */
const blockChecksums = new Uint32Array(PIECE_BYTES_MAX / STORE_BLOCK_BYTES)

const Phase = { idle: 0, parked: 1, reserving: 2, changing: 3, flushing: 4, reading: 5, ending: 6 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * One operation of a client on its way to the members, piece by piece. A write has ended when every member of the
 * set has it or has left by a confirmed transaction; it is never given up before the epoch ends. Pooled.
 */
export class OperationSlot implements Piece {
  readonly #owner: SlotOwner
  readonly #parts: MemberOperation[] = []
  operation!: BlockOperation
  /** bootMs when the piece was sent, or parked. */
  sinceMs = 0
  offsetBytes = 0
  lengthBytes = 0
  number = 0
  dataAt = 0
  dataChecksum = UNKNOWN_CHECKSUM
  blockChecksums: Uint32Array | null = null
  /** Rises with each use of the slot. */
  use = 0
  #phase: Phase = Phase.idle
  #class: SetClass | null = null
  #count = 0
  #pending = 0
  #out = 0
  #sending = false
  #blockwise = false
  #stopped = false
  /** A first pass over the pieces asks for space alone: of a write that there is none for nothing is done. */
  #seeksSpace = false
  readonly #sources = new ReadSources()
  readonly #finishNow = () => {
    this.#phase = Phase.idle
    this.#sources.forget()
    this.#class = null
    this.#owner.slotDone(this)
  }

  constructor(owner: SlotOwner) {
    this.#owner = owner
  }

  get volumeUuid(): string {
    return this.#owner.volumeUuid
  }

  get epoch(): number {
    return this.#owner.epoch
  }

  get setVersion(): number {
    return this.#owner.setVersion
  }

  get watermark(): number {
    return this.#owner.watermark
  }

  get kind(): BlockKind {
    return this.operation.kind
  }

  get stream(): number {
    return this.operation.stream
  }

  get sequence(): number {
    return this.operation.sequence
  }

  get fua(): boolean {
    return this.operation.fua
  }

  get data(): Buffer {
    return this.operation.data
  }

  get reserving(): boolean {
    return this.#phase === Phase.reserving
  }

  get mayRunInline(): boolean {
    return this.#count > 1
  }

  get parked(): boolean {
    return this.#phase === Phase.parked
  }

  /** Something has been sent that may be applied. */
  get begun(): boolean {
    return this.#phase === Phase.changing || this.#phase === Phase.flushing
  }

  start(operation: BlockOperation): void {
    this.operation = operation
    this.use++
    this.number = 0
    this.#blockwise = false
    this.#stopped = false
    this.#seeksSpace = isInPieces(operation)
    this.#firstPiece()
  }

  /** Looks again at what it was parked for. */
  resume(): void {
    if (this.#phase === Phase.parked) this.#beginPiece()
  }

  /** The epoch is over, or the wait was too long: ends as soon as no buffer is in others' hands. */
  stop(): void {
    this.#stopped = true
    if (this.#phase === Phase.parked || (this.#active && this.#out === 0 && !this.#sending)) {
      this.#finish(BlockStatus.unavailable)
    }
  }

  /** The member has left the set by a confirmed transaction, or its joining was refused. */
  memberLeft(member: Member): void {
    if (!this.#active || this.#needs(member)) return
    for (let i = 0; i < this.#count; i++) {
      const part = this.#parts[i]!
      if (part.member === member && part.pending) this.#settle(part)
    }
    this.#proceed()
  }

  /** Calls `each` with the members that are waited for. */
  awaited(each: (member: Member, isOut: boolean) => void): void {
    if (!this.#active) return
    for (let i = 0; i < this.#count; i++) {
      const part = this.#parts[i]!
      if (part.pending || part.isOut) each(part.member, part.isOut)
    }
  }

  /** Sends again what a broken connection left unanswered. */
  sendAgain(): void {
    if (this.#stopped || !this.#active) return
    // Not to a member that has been fenced meanwhile and is suspect yet.
    if (this.#phase === Phase.flushing && this.#owner.flushesWait) return
    for (let i = 0; i < this.#count; i++) {
      const part = this.#parts[i]!
      if (!part.pending || part.isOut || !part.member.reachable) continue
      this.#out++
      part.send()
    }
  }

  partDone(part: MemberOperation): void {
    this.#out--
    if (part.pending) this.#answered(part)
    this.#proceed()
  }

  /** Parts of it may be with members. */
  get #active(): boolean {
    return this.#phase >= Phase.reserving && this.#phase <= Phase.reading
  }

  get #range(): number {
    return Math.floor(this.offsetBytes / RANGE_BYTES)
  }

  #firstPiece(): void {
    this.offsetBytes = this.operation.offsetBytes
    this.lengthBytes = 0
    this.dataAt = this.operation.dataAt
    this.#nextPiece()
  }

  #nextPiece(): void {
    this.offsetBytes += this.lengthBytes
    this.dataAt += this.lengthBytes
    this.dataChecksum = UNKNOWN_CHECKSUM
    const left = this.operation.offsetBytes + this.operation.lengthBytes - this.offsetBytes
    this.lengthBytes = pieceBytes(this.operation.kind, this.offsetBytes, left, this.#blockwise)
    this.#beginPiece()
  }

  #beginPiece(): void {
    const owner = this.#owner
    this.sinceMs = owner.nowMs()
    if (owner.ended) this.#stopped = true
    if (this.#stopped) return this.#finishLater(BlockStatus.unavailable)
    if (this.operation.kind === BlockKind.flush) return this.#flush()
    this.#class = owner.classOf(this.#range)
    if (!this.#class.served) return this.#park()
    if (this.operation.kind === BlockKind.read) return this.#read()
    if (this.#class.frozen) return this.#park()
    const { kind, offsetBytes, lengthBytes } = this
    if (kind === BlockKind.writeAtomic) {
      const last = owner.classOf(Math.floor((offsetBytes + lengthBytes - 1) / RANGE_BYTES))
      if (!last.served || last.isChanging || this.#class.isChanging) return this.#park()
      // Only members that have all of it can have it whole or not at all.
      if (!last.isLike(this.#class)) return this.#finishLater(BlockStatus.outOfRange)
    }
    if (kind === BlockKind.trim) owner.reserved.remove(offsetBytes, lengthBytes)
    else if (!owner.reserved.covers(offsetBytes, lengthBytes)) return this.#reserve()
    if (this.#seeksSpace) return this.#pieceDone()
    this.#change()
  }

  #park(): void {
    this.#phase = Phase.parked
    this.#owner.park(this)
  }

  #reserve(): void {
    this.#phase = Phase.reserving
    this.#begin(this.#class!.members)
    this.#sendAll()
  }

  #change(): void {
    if (this.number === 0) this.number = this.#owner.nextNumber()
    if (this.number === 0) return this.#park()
    this.#phase = Phase.changing
    if (this.#class!.local === null) this.#owner.wroteElsewhere(this.offsetBytes, this.lengthBytes)
    for (const member of this.#class!.members) member.changes++
    this.#begin(this.#class!.members)
    for (const { gate, member } of this.#owner.gates) {
      if (this.#isPart(member) || !gate.wantsWrite(this.offsetBytes, this.lengthBytes)) continue
      member.changes++
      this.#add(member, gate)
    }
    if (this.#carriesData && this.#count > 1) this.#checksum()
    this.#sendAll()
    this.blockChecksums = null
  }

  /** Once for all members, in the turn in which they are sent it. */
  #checksum(): void {
    const blocks = this.lengthBytes / STORE_BLOCK_BYTES
    if (blocks > blockChecksums.length) return
    this.dataChecksum = checksumBlocks(this.data, this.dataAt, blocks, blockChecksums)
    this.blockChecksums = blockChecksums
  }

  get #carriesData(): boolean {
    const { kind } = this.operation
    return kind === BlockKind.write || kind === BlockKind.writeAtomic
  }

  #flush(): void {
    if (this.#owner.flushesWait) return this.#park()
    this.#phase = Phase.flushing
    this.#begin([])
    for (const member of this.#owner.everybody)
      if (member.flushedChanges < member.changes) this.#add(member, null)
    for (const { gate, member } of this.#owner.gates) {
      if (!this.#isPart(member) && gate.wantsFlush) this.#add(member, gate)
    }
    if (this.#count === 0) return this.#finishLater(BlockStatus.ok)
    this.#sendAll()
  }

  #read(): void {
    const source = this.#sources.next(this.#class!)
    if (source === null) return this.#park()
    this.#phase = Phase.reading
    this.#count = this.#pending = 0
    this.#add(source, null)
    this.#sendAll()
  }

  #readAnswered(): void {
    const part = this.#parts[0]!
    const { member, status } = part
    this.#class = this.#owner.classOf(this.#range)
    if (status === BlockStatus.ok) {
      // Sampled before this is checked: whoever writes later must fence a member that still grants.
      const authorised = this.#owner.nowMs() < this.#class.readUntilMs && !this.#owner.ended
      if (!authorised || !this.#class.sources.includes(member)) return this.#readAnew()
      const { badMember, badAtBytes } = this.#sources
      if (badMember !== null) this.#owner.repair(badMember, badAtBytes)
      return this.#pieceDone()
    }
    if (status === BlockStatus.mediumError) {
      this.#sources.foundBad(member, part.failedAtBytes)
    } else if (status !== PeerStatus.lost) {
      this.#owner.memberFailed(member, status)
    }
    this.#sources.failed(member)
    if (this.#sources.next(this.#class) !== null) return this.#read()
    if (!this.#sources.anyBad || !this.#sources.haveAskedAll(this.#class)) return this.#readAnew()
    if (this.lengthBytes > STORE_BLOCK_BYTES) return this.#readByBlocks()
    if (!this.#sources.allBad) return this.#readAnew()
    this.operation.failedAtBytes = this.offsetBytes
    this.#finish(BlockStatus.mediumError)
  }

  /** Different members may be bad in different blocks. */
  #readByBlocks(): void {
    this.#blockwise = true
    this.lengthBytes = 0
    this.#sources.forget()
    this.#nextPiece()
  }

  #readAnew(): void {
    this.#sources.forget()
    this.#park()
  }

  #reserved(): void {
    const owner = this.#owner
    const { members, minReplicas } = owner.classOf(this.#range)
    let full = 0
    for (let i = 0; i < this.#count; i++) if (this.#isFull(this.#parts[i]!, members)) full++
    if (full === 0) {
      owner.reserved.add(this.offsetBytes, this.lengthBytes)
      return this.#beginPiece()
    }
    if (members.length - full < minReplicas) return this.#finish(BlockStatus.noSpace)
    for (let i = 0; i < this.#count; i++) {
      const part = this.#parts[i]!
      if (!this.#isFull(part, members)) continue
      part.pending = true
      this.#pending++
      owner.memberFailed(part.member, BlockStatus.noSpace)
    }
  }

  #isFull(part: MemberOperation, members: readonly Member[]): boolean {
    return part.status === BlockStatus.noSpace && members.includes(part.member)
  }

  #changed(): void {
    this.#owner.numberEnded(this.number)
    this.number = 0
    this.#pieceDone()
  }

  #pieceDone(): void {
    const end = this.operation.offsetBytes + this.operation.lengthBytes
    if (this.offsetBytes + this.lengthBytes < end) {
      this.#sources.forget()
      this.#nextPiece()
    } else if (this.#seeksSpace) {
      this.#seeksSpace = false
      this.#firstPiece()
    } else this.#finish(BlockStatus.ok)
  }

  #finishLater(status: BlockStatus): void {
    this.#phase = Phase.ending
    this.operation.status = status
    queueMicrotask(this.#finishNow)
  }

  #finish(status: BlockStatus): void {
    this.operation.status = status
    this.#finishNow()
  }

  #begin(members: readonly Member[]): void {
    this.#count = this.#pending = 0
    for (const member of members) this.#add(member, null)
  }

  #add(member: Member, gate: JoinGate | null): void {
    if (this.#count === this.#parts.length) this.#parts.push(new MemberOperation(this))
    const part = this.#parts[this.#count]!
    part.prepare(member, gate)
    this.#count++
    this.#pending++
  }

  /** Asked when it matters: whoever was joining when this was sent may be a member now. PROTOCOL rule 8. */
  #needs(member: Member): boolean {
    const { everybody } = this.#owner
    const needed = this.#phase === Phase.flushing ? everybody : this.#owner.classOf(this.#range).members
    return needed.includes(member)
  }

  #isPart(member: Member): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#parts[i]!.member === member) return true
    return false
  }

  #sendAll(): void {
    this.#sending = true
    // The way to the others takes longer than the own brick: it begins first.
    for (let i = 0; i < this.#count; i++) if (this.#parts[i]!.member.local === null) this.#sendPart(i)
    for (let i = 0; i < this.#count; i++) if (this.#parts[i]!.member.local !== null) this.#sendPart(i)
    this.#sending = false
  }

  #sendPart(at: number): void {
    const part = this.#parts[at]!
    // A flush waits for members that are being fenced, and may find one of them cold: sendAgain() has the word then.
    if (!part.member.fenced) return
    this.#out++
    part.send()
  }

  #settle(part: MemberOperation): void {
    part.pending = false
    this.#pending--
  }

  #answered(part: MemberOperation): void {
    const { status } = part
    if (status === PeerStatus.staleEpoch) return this.#owner.superseded()
    if (this.#phase === Phase.reading) return this.#settle(part)
    if (status === BlockStatus.ok) {
      if (this.#phase === Phase.flushing) part.member.flushed(part.changes)
      return this.#settle(part)
    }
    if (this.#phase === Phase.reserving && status === BlockStatus.noSpace) return this.#settle(part)
    // What a broken connection swallowed is sent again, and an old setVersion is replaced by the new one.
    if (status === PeerStatus.lost || status === PeerStatus.staleSet) {
      if (part.gate === null || this.#needs(part.member)) return
    }
    if (part.gate !== null && !this.#needs(part.member)) {
      part.gate.failed(`it answered ${status}`)
      return this.#settle(part)
    }
    this.#owner.memberFailed(part.member, status)
  }

  #proceed(): void {
    if (this.#sending || !this.#active) return
    if (this.#stopped) {
      if (this.#out === 0) this.#finish(BlockStatus.unavailable)
      return
    }
    if (this.#pending > 0 || this.#out > 0) return
    switch (this.#phase) {
      case Phase.reserving:
        return this.#reserved()
      case Phase.changing:
        return this.#changed()
      case Phase.flushing:
        return this.#finish(BlockStatus.ok)
      case Phase.reading:
        return this.#readAnswered()
      default:
    }
  }
}
