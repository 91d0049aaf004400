import type { Bank } from './bank.ts'
import type { BrickCounters } from './brick.ts'
import type { DirtyTracker } from './dirty-tracker.ts'
import type { FileThread } from './files/file-task.ts'
import { GroupCommit } from './group-commit.ts'
import type { StickyFailure } from './sticky-failure.ts'
import type { Writeback } from './writeback.ts'

/** What a flush has to do for the journal; see Journal.appliedSequence. */
export interface FlushedJournal {
  readonly appliedSequence: number
  readonly hasLiveRecords: boolean
  advance(sequence: number): Promise<void>
}

/**
 * Flushes: fdatasync, as a group commit on a thread of its own, of every data file written since its last one,
 * and of a checksum file in which blocks became present or absent. A failed one is sticky.
 */
export class Durability {
  /** Set once the journal is open. */
  journal: FlushedJournal | null = null
  readonly #banks: readonly Bank[]
  readonly #thread: FileThread
  readonly #dirty: DirtyTracker
  readonly #writeback: Writeback
  readonly #failure: StickyFailure
  readonly #counters: BrickCounters
  readonly #commits = new GroupCommit(() => this.#sync())
  #everything = false

  constructor(parts: {
    banks: readonly Bank[]
    thread: FileThread
    dirty: DirtyTracker
    writeback: Writeback
    failure: StickyFailure
    counters: BrickCounters
  }) {
    this.#banks = parts.banks
    this.#thread = parts.thread
    this.#dirty = parts.dirty
    this.#writeback = parts.writeback
    this.#failure = parts.failure
    this.#counters = parts.counters
  }

  /** Resolves when everything written before this call is durable. Rejects with the brick's failure. */
  async flush(): Promise<void> {
    this.#counters.flushes++
    if (this.#failure.error !== null) throw this.#failure.error
    await this.#commits.commit()
  }

  /** As flush(), and all checksums and stamps with it: what is asked for before a segment is cleared. */
  async flushEverything(): Promise<void> {
    if (this.#failure.error !== null) throw this.#failure.error
    this.#everything = true
    await this.#commits.commit()
  }

  async #sync(): Promise<void> {
    // The run before this one may have taken what this one is to make durable, and failed.
    if (this.#failure.error !== null) throw this.#failure.error
    const fds: number[] = []
    let blocks = 0
    for (const bank of this.#banks) {
      if (bank.dataTouched) {
        fds.push(bank.dataFd)
        bank.dataTouched = false
        blocks += this.#dirty.takeBank(bank.number)
      }
      if (bank.presenceChanged || (this.#everything && bank.checksumsChanged)) {
        fds.push(bank.checksumFd)
        bank.presenceChanged = false
        bank.checksumsChanged = false
      }
      if (bank.stampsOwed || (this.#everything && bank.stampsChanged)) {
        fds.push(bank.stampFd)
        bank.stampsChanged = false
        bank.stampsOwed = false
      }
    }
    this.#everything = false
    const journalled = this.journal?.appliedSequence ?? 0
    try {
      if (fds.length > 0) await this.#syncFiles(fds)
    } finally {
      // Also those that will never be: whoever waits for room has to hear of the failure.
      this.#writeback.written(blocks)
    }
    await this.#advanceJournal(journalled)
  }

  async #syncFiles(fds: number[]): Promise<void> {
    let result: number
    try {
      result = await this.#thread.run({ sync: fds })
    } catch (error) {
      throw this.#failure.set('fdatasync', error)
    }
    if (result < 0) throw this.#failure.set('fdatasync', result)
    this.#counters.fdatasyncs += fds.length
  }

  async #advanceJournal(sequence: number): Promise<void> {
    if (this.journal === null || !this.journal.hasLiveRecords) return
    try {
      await this.journal.advance(sequence)
    } catch (error) {
      throw this.#failure.set('advancing the journal', error)
    }
  }
}
