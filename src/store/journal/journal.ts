import { crc32c } from '../../lib/crc32c.ts'
import { invariant } from '../../lib/invariant.ts'
import {
  CHECKPOINT_PAGES,
  CURSOR_PAGE,
  encodeCheckpoint,
  encodeCursor,
  encodeRecord,
  JOURNAL_PAGE_BYTES,
  JOURNAL_PAYLOAD_BYTES_MAX,
  JOURNAL_TARGETS_MAX,
  type JournalTarget,
  RING_AT_BYTES,
  recordPages,
} from './journal-format.ts'
import { JournalRing } from './journal-ring.ts'

/** The journal's file as the store's file layer gives it. Errors are thrown or rejected. */
export interface JournalFile {
  readonly path: string
  /** Fills `into` from a byte offset. */
  read(into: Buffer, atBytes: number): void
  /** Writes `from[0, lengthBytes)` to the page cache, whole. */
  write(from: Buffer, lengthBytes: number, atBytes: number): void
  /** fdatasync on the store's sync thread: resolves when everything written before the call is durable. */
  sync(): Promise<void>
}

/**
 * One write that is to be durable and whole or not there at all. Everything that could fail or wait (slot,
 * activation, space, checksum pages) is ready before append(); its blocks stay locked until journalDone.
 */
export interface JournalWrite {
  readonly targets: readonly JournalTarget[]
  /** The targets' bytes, one after the other: at most JOURNAL_PAYLOAD_BYTES_MAX. Unchanged until journalDone. */
  readonly payload: Buffer
  /** The record is durable: put the payload in place, in the page cache. Called once, in append's order. */
  applyJournalled(): Promise<void> | undefined
  /** Called once, after the write is in place, or with the error that has stopped the journal for good. */
  journalDone(error: Error | null): void
}

export interface JournalState {
  readonly ringPages: number
  readonly incarnation: number
  readonly checkpointCounter: number
  readonly nextSequence: number
  readonly bootId: string
}

/**
 * The redo journal of a brick. One commit runs at a time; what arrives meanwhile shares the next record. A
 * failed write or sync is sticky: this write and all later ones fail with it.
 */
export class Journal {
  #file: JournalFile
  #state: JournalState
  #makeRoom: () => Promise<void>
  #ring: JournalRing
  #waiting: JournalWrite[] = []
  #committing = false
  #failure: Error | null = null
  #nextSequence: number
  #appliedSequence: number
  #checkpointCounter: number
  #advancing: Promise<void> = Promise.resolve()
  #record = Buffer.allocUnsafeSlow(JOURNAL_PAGE_BYTES + JOURNAL_PAYLOAD_BYTES_MAX)
  #page = Buffer.alloc(JOURNAL_PAGE_BYTES)

  /** `makeRoom`: flush the data that was applied and advance(); called when a record finds the ring full. */
  constructor(file: JournalFile, state: JournalState, makeRoom: () => Promise<void>) {
    this.#file = file
    this.#state = state
    this.#makeRoom = makeRoom
    this.#ring = new JournalRing(state.ringPages)
    this.#nextSequence = state.nextSequence
    this.#appliedSequence = state.nextSequence - 1
    this.#checkpointCounter = state.checkpointCounter
  }

  get failure(): Error | null {
    return this.#failure
  }

  /**
   * All records up to this one are in place in the page cache. A flush takes it before its fdatasync of the
   * data and hands it to advance() afterwards, before it acknowledges: a replay would otherwise bring back
   * what was journalled in place of newer data that was flushed.
   */
  get appliedSequence(): number {
    return this.#appliedSequence
  }

  /** False when a replay would find nothing, so that a flush needs no advance(). */
  get hasLiveRecords(): boolean {
    return !this.#ring.isEmpty
  }

  append(write: JournalWrite): void {
    invariant(
      write.payload.length <= JOURNAL_PAYLOAD_BYTES_MAX && write.targets.length <= JOURNAL_TARGETS_MAX,
      'a journalled write fits in one record',
    )
    this.#waiting.push(write)
    if (!this.#committing) {
      this.#committing = true
      void this.#commitAll()
    }
  }

  /** The data of every record up to `sequence` is durable in place: resolves when no replay would begin there. */
  advance(sequence: number): Promise<void> {
    const advanced = this.#advancing.then(() => this.#advanceNow(sequence))
    this.#advancing = advanced.catch(() => undefined)
    return advanced
  }

  async #advanceNow(sequence: number): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    if (!this.#ring.holdsUpTo(sequence)) return
    try {
      const counter = ++this.#checkpointCounter
      const next = this.#ring.after(sequence)
      encodeCheckpoint(
        {
          counter,
          incarnation: this.#state.incarnation,
          sequence: sequence + 1,
          ringPage: next,
        },
        this.#page,
      )
      const copy = CHECKPOINT_PAGES[counter % CHECKPOINT_PAGES.length]!
      this.#file.write(this.#page, JOURNAL_PAGE_BYTES, copy * JOURNAL_PAGE_BYTES)
      await this.#file.sync()
      this.#ring.release(sequence)
    } catch (error) {
      throw this.#fail(error)
    }
  }

  async #commitAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      let failure = this.#failure
      if (failure === null) {
        try {
          await this.#commit(batch)
        } catch (error) {
          failure = this.#fail(error)
        }
      }
      for (const write of batch) write.journalDone(failure)
    }
    this.#committing = false
  }

  #takeBatch(): JournalWrite[] {
    let payloadBytes = 0
    let targets = 0
    let count = 0
    for (const write of this.#waiting) {
      payloadBytes += write.payload.length
      targets += write.targets.length
      if (payloadBytes > JOURNAL_PAYLOAD_BYTES_MAX || targets > JOURNAL_TARGETS_MAX) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  async #commit(batch: readonly JournalWrite[]): Promise<void> {
    let payloadBytes = 0
    for (const { payload } of batch) {
      payloadBytes += payload.copy(this.#record, JOURNAL_PAGE_BYTES + payloadBytes)
    }
    const sequence = this.#nextSequence++
    encodeRecord(
      {
        incarnation: this.#state.incarnation,
        sequence,
        payloadBytes,
        payloadCrc: crc32c(this.#record, JOURNAL_PAGE_BYTES, payloadBytes),
        targets: batch.flatMap(write => write.targets),
      },
      this.#record,
    )
    const ringPage = await this.#reserve(sequence, recordPages(payloadBytes))
    this.#file.write(
      this.#record,
      JOURNAL_PAGE_BYTES + payloadBytes,
      RING_AT_BYTES + ringPage * JOURNAL_PAGE_BYTES,
    )
    await this.#file.sync()
    for (const write of batch) await write.applyJournalled()
    this.#writeCursor(sequence)
    this.#appliedSequence = sequence
  }

  async #reserve(sequence: number, pages: number): Promise<number> {
    const ringPage = this.#ring.append(sequence, pages)
    if (ringPage !== null) return ringPage
    await this.#makeRoom()
    const retried = this.#ring.append(sequence, pages)
    invariant(retried !== null, 'a checkpoint of everything applied makes room in the journal')
    return retried
  }

  // Not synced: it only tells a later process on the same boot what the page cache holds already.
  #writeCursor(appliedSequence: number): void {
    const { incarnation, bootId } = this.#state
    encodeCursor({ incarnation, appliedSequence, bootId }, this.#page)
    this.#file.write(this.#page, JOURNAL_PAGE_BYTES, CURSOR_PAGE * JOURNAL_PAGE_BYTES)
  }

  #fail(error: unknown): Error {
    this.#failure ??= error instanceof Error ? error : new Error('the journal failed', { cause: error })
    return this.#failure
  }
}
