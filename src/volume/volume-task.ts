import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { invariant } from '../lib/invariant.ts'
import type { VolumeExtents } from '../store/brick.ts'
import { alignDown, alignUp, firstDifference, orInto, STORE_BLOCK_BYTES } from './block-alignment.ts'
import { type RangeEntry, RangeHold } from './operation-queue.ts'
import type { ThrottledTask } from './throttle/volume-throttle.ts'

const NO_DATA = Buffer.alloc(0)

const Step = {
  /** The one step that answers the operation. */
  last: 0,
  readHead: 1,
  readTail: 2,
  compare: 3,
  readEdge: 4,
  writeEdge: 5,
  combine: 6,
} as const
type Step = (typeof Step)[keyof typeof Step]

export interface TaskOwner {
  readonly extents: VolumeExtents
  /** Asked when the range is free, before anything is touched: ok, or why the operation is refused. */
  admit(task: VolumeTask): BlockStatus
  /** It has waited for the volume's limits long enough. */
  throttleEnded(task: VolumeTask): void
  taskDone(task: VolumeTask): void
}

/**
 * An operation on its way through the owner: holds its blocks, widens it to whole blocks (read-modify-write
 * happens here and nowhere else), compares where it must, and hands whole blocks to the extents. Pooled.
 */
export class VolumeTask implements RangeEntry, ThrottledTask<VolumeTask> {
  startBytes = 0
  endBytes = 0
  hold: RangeHold = RangeHold.read
  waiting = false
  nextEntry: RangeEntry | null = null
  previousEntry: RangeEntry | null = null
  throttledSinceMs = 0
  nextThrottled: VolumeTask | null = null

  operation!: BlockOperation
  /** The handle that the operation came by: its client's rights are checked when the task begins. */
  origin: unknown = null
  /** Taken back: ends with aborted at the next step that has touched nothing yet. */
  cancelled = false
  /** In the owner's queue, as opposed to refused before it got there. */
  queued = false
  readonly #owner: TaskOwner
  readonly #inner: BlockOperation
  #step: Step = Step.last
  /** Whole blocks around the operation, when its ends are not on their borders. */
  #bounce: Buffer = NO_DATA
  #edgeAt = 0
  #zeroPart = 0
  #wrote = false

  constructor(owner: TaskOwner) {
    this.#owner = owner
    this.#inner = new BlockOperation(this)
  }

  prepare(operation: BlockOperation, origin: unknown): void {
    this.operation = operation
    this.origin = origin
    this.cancelled = false
    this.#wrote = false
    this.#bounce = NO_DATA
    const { kind } = operation
    this.hold = kind === BlockKind.read || kind === BlockKind.verify ? RangeHold.read : RangeHold.write
    this.startBytes = alignDown(operation.offsetBytes)
    this.endBytes = alignUp(operation.offsetBytes + operation.lengthBytes)
    if (kind === BlockKind.flush) this.startBytes = this.endBytes = 0
  }

  throttleEnded(): void {
    this.#owner.throttleEnded(this)
  }

  begin(): void {
    const refusal = this.#owner.admit(this)
    if (refusal !== BlockStatus.ok) return this.#end(refusal)
    const { kind, offsetBytes, lengthBytes } = this.operation
    switch (kind) {
      case BlockKind.flush:
        return this.#forward(kind, 0, 0, NO_DATA, 0)
      case BlockKind.read:
        if (this.#aligned)
          return this.#forward(kind, offsetBytes, lengthBytes, this.operation.data, this.operation.dataAt)
        return this.#readAround(Step.last)
      case BlockKind.write:
      case BlockKind.writeAtomic:
        if (this.#aligned)
          return this.#forward(kind, offsetBytes, lengthBytes, this.operation.data, this.operation.dataAt)
        return this.#readHead()
      case BlockKind.compareAndWrite:
      case BlockKind.verify:
        return this.#readAround(Step.compare)
      case BlockKind.orWrite:
        return this.#readAround(Step.combine)
      case BlockKind.trim:
      case BlockKind.zero:
        this.#zeroPart = 0
        return this.#zeroNext()
      default:
        invariant(false, `a block operation has a known kind, not ${String(kind satisfies never)}`)
    }
  }

  /** One step of ours has ended in the extents. */
  blockDone(inner: BlockOperation): void {
    if (inner.status !== BlockStatus.ok) {
      this.operation.failedAtBytes = inner.failedAtBytes
      return this.#end(inner.status)
    }
    if (this.cancelled && !this.#wrote && this.operation.kind !== BlockKind.read)
      return this.#end(BlockStatus.aborted)
    switch (this.#step) {
      case Step.last:
        return this.#finish()
      case Step.readHead:
        return this.#readTail()
      case Step.readTail:
        return this.#writeMerged()
      case Step.compare:
        return this.#compare()
      case Step.combine:
        return this.#combine()
      case Step.readEdge:
        return this.#writeEdge()
      case Step.writeEdge:
        return this.#zeroNext()
    }
  }

  get #aligned(): boolean {
    const { offsetBytes, lengthBytes } = this.operation
    return offsetBytes === this.startBytes && offsetBytes + lengthBytes === this.endBytes
  }

  get #endOfOperation(): number {
    return this.operation.offsetBytes + this.operation.lengthBytes
  }

  /** Hands one whole-block operation to the extents; `next` says what its completion means. */
  #issue(
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
    data: Buffer,
    at: number,
    next: Step,
  ): void {
    const inner = this.#inner
    inner.kind = kind
    inner.offsetBytes = offsetBytes
    inner.lengthBytes = lengthBytes
    inner.data = data
    inner.dataAt = at
    inner.fua = this.operation.fua
    inner.stream = kind === BlockKind.read ? 0 : this.operation.stream
    inner.sequence = kind === BlockKind.read ? 0 : this.operation.sequence
    inner.status = BlockStatus.ok
    this.#step = next
    if (kind !== BlockKind.read && kind !== BlockKind.flush) this.#wrote = true
    this.#owner.extents.submit(inner)
  }

  #forward(kind: BlockKind, offsetBytes: number, lengthBytes: number, data: Buffer, at: number): void {
    this.#issue(kind, offsetBytes, lengthBytes, data, at, Step.last)
  }

  #readAround(next: Step): void {
    const lengthBytes = this.endBytes - this.startBytes
    this.#bounce = Buffer.allocUnsafe(lengthBytes)
    this.#issue(BlockKind.read, this.startBytes, lengthBytes, this.#bounce, 0, next)
  }

  #readHead(): void {
    this.#bounce = Buffer.allocUnsafe(this.endBytes - this.startBytes)
    if (this.operation.offsetBytes === this.startBytes) return this.#readTail()
    this.#issue(BlockKind.read, this.startBytes, STORE_BLOCK_BYTES, this.#bounce, 0, Step.readHead)
  }

  #readTail(): void {
    const tail = this.endBytes - STORE_BLOCK_BYTES
    const headWasRead = this.operation.offsetBytes !== this.startBytes
    if (this.#endOfOperation === this.endBytes || (headWasRead && tail === this.startBytes))
      return this.#writeMerged()
    this.#issue(BlockKind.read, tail, STORE_BLOCK_BYTES, this.#bounce, tail - this.startBytes, Step.readTail)
  }

  #writeMerged(): void {
    this.#mergePayload(this.operation.dataAt)
    this.#writeBounce()
  }

  #mergePayload(from: number): void {
    const { data, offsetBytes, lengthBytes } = this.operation
    data.copy(this.#bounce, offsetBytes - this.startBytes, from, from + lengthBytes)
  }

  #compare(): void {
    const { data, dataAt, offsetBytes, lengthBytes, kind } = this.operation
    const difference = firstDifference(data, dataAt, this.#bounce, offsetBytes - this.startBytes, lengthBytes)
    if (difference >= 0) {
      this.operation.failedAtBytes = offsetBytes + difference
      return this.#end(BlockStatus.miscompare)
    }
    if (kind === BlockKind.verify) return this.#end(BlockStatus.ok)
    this.#mergePayload(dataAt + lengthBytes)
    this.#writeBounce()
  }

  #combine(): void {
    const { data, dataAt, offsetBytes, lengthBytes } = this.operation
    orInto(this.#bounce, offsetBytes - this.startBytes, data, dataAt, lengthBytes)
    this.#writeBounce()
  }

  #writeBounce(): void {
    const { kind } = this.operation
    const asWritten = kind === BlockKind.writeAtomic ? kind : BlockKind.write
    this.#forward(asWritten, this.startBytes, this.#bounce.length, this.#bounce, 0)
  }

  /** Zeroes a ragged head and a ragged tail by read-modify-write, then the whole blocks between as asked. */
  #zeroNext(): void {
    const { offsetBytes, kind } = this.operation
    const end = this.#endOfOperation
    const tail = alignDown(end)
    const headIsRagged = offsetBytes !== this.startBytes
    const part = this.#zeroPart++
    if (part === 0) return headIsRagged ? this.#readEdge(this.startBytes) : this.#zeroNext()
    if (part === 1) {
      const tailIsRagged = tail !== end && !(headIsRagged && tail === this.startBytes)
      return tailIsRagged ? this.#readEdge(tail) : this.#zeroNext()
    }
    const wholeAt = alignUp(offsetBytes)
    if (wholeAt >= tail) return this.#end(BlockStatus.ok)
    this.#forward(kind, wholeAt, tail - wholeAt, NO_DATA, 0)
  }

  #readEdge(at: number): void {
    this.#edgeAt = at
    if (this.#bounce.length === 0) this.#bounce = Buffer.allocUnsafe(STORE_BLOCK_BYTES)
    this.#issue(BlockKind.read, at, STORE_BLOCK_BYTES, this.#bounce, 0, Step.readEdge)
  }

  #writeEdge(): void {
    const from = Math.max(this.operation.offsetBytes, this.#edgeAt) - this.#edgeAt
    const to = Math.min(this.#endOfOperation, this.#edgeAt + STORE_BLOCK_BYTES) - this.#edgeAt
    this.#bounce.fill(0, from, to)
    this.#issue(BlockKind.write, this.#edgeAt, STORE_BLOCK_BYTES, this.#bounce, 0, Step.writeEdge)
  }

  #finish(): void {
    const { kind, data, dataAt, offsetBytes, lengthBytes } = this.operation
    if (kind === BlockKind.read && this.#bounce.length > 0) {
      const from = offsetBytes - this.startBytes
      this.#bounce.copy(data, dataAt, from, from + lengthBytes)
    }
    this.#end(BlockStatus.ok)
  }

  #end(status: BlockStatus): void {
    this.operation.status = status
    this.#bounce = NO_DATA
    this.#inner.data = NO_DATA
    this.#owner.taskDone(this)
  }
}
