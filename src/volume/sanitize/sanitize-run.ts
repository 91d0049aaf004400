import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import type { VolumeHandle } from '../volume.ts'
import { realSanitizeClock, type SanitizeClock } from './sanitize-clock.ts'
import { patternOfPass, type SanitizeOrder } from './sanitize-state.ts'

/** Held in memory while an overwrite runs, and so how often it looks whether it is to stop. */
const OVERWRITE_PIECE_BYTES = 2 ** 20
const ERASE_PIECE_BYTES = 256 * 2 ** 20

/** One pass over a whole volume, made durable at its end. */
export class SanitizeRun {
  readonly #handle: VolumeHandle
  readonly #kind: BlockKind
  readonly #pieceBytes: number
  readonly #data: Buffer
  readonly #bytesPerSecond: number
  readonly #clock: SanitizeClock
  readonly #stopping = new AbortController()
  #doneBytes = 0

  constructor(
    handle: VolumeHandle,
    order: SanitizeOrder,
    pass: number,
    bytesPerSecond: number,
    clock: SanitizeClock = realSanitizeClock,
  ) {
    this.#handle = handle
    this.#clock = clock
    const overwrites = order.method === 'overwrite'
    this.#kind = overwrites ? BlockKind.write : BlockKind.trim
    this.#pieceBytes = overwrites ? OVERWRITE_PIECE_BYTES : ERASE_PIECE_BYTES
    this.#data = overwrites ? patternOfPass(order, pass, OVERWRITE_PIECE_BYTES) : Buffer.alloc(0)
    // Erasing moves no data.
    this.#bytesPerSecond = overwrites ? bytesPerSecond : Number.POSITIVE_INFINITY
  }

  get progress(): number {
    return this.#doneBytes / this.#handle.sizeBytes
  }

  stop(): void {
    this.#stopping.abort()
  }

  /** Answers aborted when it was stopped, else how it ended; called again it goes on with what was not done. */
  async run(): Promise<BlockStatus> {
    const startedAtMs = this.#clock.nowMs()
    const doneBefore = this.#doneBytes
    // The size may grow meanwhile.
    while (this.#doneBytes < this.#handle.sizeBytes) {
      if (this.#stopping.signal.aborted) return BlockStatus.aborted
      const lengthBytes = Math.min(this.#pieceBytes, this.#handle.sizeBytes - this.#doneBytes)
      const status = await this.#perform(this.#kind, this.#doneBytes, lengthBytes)
      if (status !== BlockStatus.ok) return status
      this.#doneBytes += lengthBytes
      await this.#keepPace(startedAtMs, this.#doneBytes - doneBefore)
    }
    return this.#perform(BlockKind.flush, 0, 0)
  }

  async #keepPace(startedAtMs: number, sinceBytes: number): Promise<void> {
    const dueAtMs = startedAtMs + (sinceBytes / this.#bytesPerSecond) * 1000
    const waitMs = dueAtMs - this.#clock.nowMs()
    if (waitMs > 0) await this.#clock.pause(waitMs, this.#stopping.signal)
  }

  #perform(kind: BlockKind, offsetBytes: number, lengthBytes: number): Promise<BlockStatus> {
    return new Promise(resolve => {
      const operation = new BlockOperation({ blockDone: ({ status }) => resolve(status) })
      operation.kind = kind
      operation.offsetBytes = offsetBytes
      operation.lengthBytes = lengthBytes
      operation.data = this.#data
      this.#handle.submit(operation)
    })
  }
}
