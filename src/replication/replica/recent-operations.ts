import type { BlockKind } from '../../block/block-operation.ts'
import type { ReportedOperation } from '../messages.ts'
import { FORGOTTEN_SLOTS, type LoggedOperation, type OperationLog, packOperations } from '../operation-log.ts'

/**
 * As many as one volume's replica remembers. The owner starts no operation further than this above its watermark,
 * so nothing above the watermark is ever forgotten.
 */
export const RECENT_OPERATIONS = 4096

/** The latest writes, trims and zeroes of a volume at one replica, in a ring. PROTOCOL rules 16 and 18. */
export class RecentOperations {
  readonly #operations = new Float64Array(RECENT_OPERATIONS)
  readonly #epochs = new Float64Array(RECENT_OPERATIONS)
  readonly #offsets = new Float64Array(RECENT_OPERATIONS)
  readonly #lengths = new Float64Array(RECENT_OPERATIONS)
  readonly #kinds = new Uint8Array(RECENT_OPERATIONS)
  readonly #streams = new Float64Array(RECENT_OPERATIONS)
  readonly #sequences = new Float64Array(RECENT_OPERATIONS)
  #count = 0
  #epoch = 0
  /** Of the present epoch: by stream number, the highest sequence number that was overwritten. */
  readonly #forgotten = new Float64Array(FORGOTTEN_SLOTS)
  #hasForgotten = false

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
    const at = this.#count++ % RECENT_OPERATIONS
    if (this.#epochs[at] === epoch) this.#forget(at)
    this.#epochs[at] = epoch
    this.#operations[at] = operation
    this.#kinds[at] = kind
    this.#offsets[at] = offsetBytes
    this.#lengths[at] = lengthBytes
    this.#streams[at] = stream
    this.#sequences[at] = sequence
  }

  /** Operations of `epoch` with a number above `watermark`, in the order in which they came. */
  above(epoch: number, watermark: number): ReportedOperation[] {
    const found: ReportedOperation[] = []
    for (const at of this.#oldestFirst()) {
      if (this.#epochs[at] !== epoch || this.#operations[at]! <= watermark) continue
      const kind = this.#kinds[at] as BlockKind
      found.push({ kind, offsetBytes: this.#offsets[at]!, lengthBytes: this.#lengths[at]! })
    }
    return found
  }

  /** What became of clients' operations of `epoch` can be told by it. `complete`: nothing of it went by. */
  log(epoch: number, complete: boolean): OperationLog {
    const operations: LoggedOperation[] = []
    for (const at of this.#oldestFirst()) {
      if (this.#epochs[at] !== epoch) continue
      operations.push({
        stream: this.#streams[at]!,
        sequence: this.#sequences[at]!,
        offsetBytes: this.#offsets[at]!,
        lengthBytes: this.#lengths[at]!,
      })
    }
    const hasForgotten = this.#hasForgotten && this.#epoch === epoch
    return {
      complete,
      operations: packOperations(operations),
      forgotten: hasForgotten ? [...this.#forgotten] : [],
    }
  }

  #begin(epoch: number): void {
    this.#epoch = epoch
    this.#forgotten.fill(0)
    this.#hasForgotten = false
  }

  #forget(at: number): void {
    const slot = this.#streams[at]! % FORGOTTEN_SLOTS
    this.#forgotten[slot] = Math.max(this.#forgotten[slot]!, this.#sequences[at]!)
    this.#hasForgotten = true
  }

  *#oldestFirst(): Generator<number> {
    const first = Math.max(0, this.#count - RECENT_OPERATIONS)
    for (let i = first; i < this.#count; i++) yield i % RECENT_OPERATIONS
  }
}
