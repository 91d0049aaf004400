import type { BlockKind } from '../../block/block-operation.ts'
import type { ReportedOperation } from '../messages.ts'
import { FORGOTTEN_SLOTS, type LoggedOperation, type OperationLog, packOperations } from '../operation-log.ts'

/**
 * As many as one volume's replica remembers. The owner starts no operation further than this above its watermark,
 * so nothing above the watermark is ever forgotten.
 */
export const RECENT_OPERATIONS = 4096
/** Room at first: most of a thousand volumes are quiet, and all of it would be 200 kB for each. */
const FIRST_OPERATIONS = 16

/** Numbers of one operation, one after the other in the ring. */
const FIELDS = 6
const [OPERATION, KIND, OFFSET, LENGTH, STREAM, SEQUENCE] = [0, 1, 2, 3, 4, 5] as const

/** The latest writes, trims and zeroes of a volume's epoch at one replica, in a ring. PROTOCOL rules 16 and 18. */
export class RecentOperations {
  #ring = new Float64Array(0)
  /** Of the epoch, so far. */
  #count = 0
  #epoch = 0
  /** By stream number, the highest sequence number that was overwritten; null: none was. */
  #forgotten: number[] | null = null

  /** `epoch` never falls; what is known of the one before is forgotten with the first operation of the next. */
  note(
    epoch: number,
    operation: number,
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
    stream: number,
    sequence: number,
  ): void {
    if (epoch !== this.#epoch) this.#begin(epoch)
    const isFull = this.#count * FIELDS >= this.#ring.length
    if (isFull && this.#count < RECENT_OPERATIONS) this.#grow()
    const at = this.#placeOf(this.#count)
    if (this.#count++ >= RECENT_OPERATIONS) this.#forget(at)
    const ring = this.#ring
    ring[at + OPERATION] = operation
    ring[at + KIND] = kind
    ring[at + OFFSET] = offsetBytes
    ring[at + LENGTH] = lengthBytes
    ring[at + STREAM] = stream
    ring[at + SEQUENCE] = sequence
  }

  /** Operations of `epoch` with a number above `watermark`, in the order in which they came. */
  above(epoch: number, watermark: number): ReportedOperation[] {
    const found: ReportedOperation[] = []
    const ring = this.#ring
    for (const at of this.#oldestFirst(epoch)) {
      if (ring[at + OPERATION]! <= watermark) continue
      const kind = ring[at + KIND] as BlockKind
      found.push({ kind, offsetBytes: ring[at + OFFSET]!, lengthBytes: ring[at + LENGTH]! })
    }
    return found
  }

  /** What became of clients' operations of `epoch` can be told by it. `complete`: nothing of it went by. */
  log(epoch: number, complete: boolean): OperationLog {
    const operations: LoggedOperation[] = []
    const ring = this.#ring
    for (const at of this.#oldestFirst(epoch)) {
      operations.push({
        stream: ring[at + STREAM]!,
        sequence: ring[at + SEQUENCE]!,
        offsetBytes: ring[at + OFFSET]!,
        lengthBytes: ring[at + LENGTH]!,
      })
    }
    const forgotten = epoch === this.#epoch ? (this.#forgotten ?? []) : []
    return { complete, operations: packOperations(operations), forgotten: [...forgotten] }
  }

  #begin(epoch: number): void {
    this.#epoch = epoch
    this.#count = 0
    this.#ring = new Float64Array(0)
    this.#forgotten = null
  }

  #grow(): void {
    const grown = new Float64Array(Math.max(FIRST_OPERATIONS * FIELDS, this.#ring.length * 2))
    grown.set(this.#ring)
    this.#ring = grown
  }

  #forget(at: number): void {
    this.#forgotten ??= Array.from({ length: FORGOTTEN_SLOTS }, () => 0)
    const slot = this.#ring[at + STREAM]! % FORGOTTEN_SLOTS
    this.#forgotten[slot] = Math.max(this.#forgotten[slot]!, this.#ring[at + SEQUENCE]!)
  }

  #placeOf(count: number): number {
    return (count % RECENT_OPERATIONS) * FIELDS
  }

  *#oldestFirst(epoch: number): Generator<number> {
    const first = Math.max(0, this.#count - RECENT_OPERATIONS)
    if (epoch !== this.#epoch) return
    for (let i = first; i < this.#count; i++) yield this.#placeOf(i)
  }
}
