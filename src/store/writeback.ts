import { Errno } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import type { DirtyTracker } from './dirty-tracker.ts'
import type { FileThread } from './files/file-task.ts'
import { bankOf, indexOf, SLOT_BYTES, slotDataAt } from './layout.ts'
import type { StickyFailure } from './sticky-failure.ts'

/** Part of the cap from which on dirty data is written back: as late as can be, so that a hot set stays dirty. */
const WRITEBACK_FROM = 15 / 16

/**
 * Keeps dirty bytes under their cap, so that an inline write never waits for the disk: the kernel starts to
 * throttle whoever dirties pages above its own threshold.
 */
export class Writeback {
  readonly capBytes: number
  readonly #dirty: DirtyTracker
  readonly #banks: readonly Bank[]
  readonly #thread: FileThread
  readonly #failure: StickyFailure
  readonly #waiting: (() => void)[] = []
  #running = false

  constructor(
    capBytes: number,
    dirty: DirtyTracker,
    banks: readonly Bank[],
    thread: FileThread,
    failure: StickyFailure,
  ) {
    this.capBytes = capBytes
    this.#dirty = dirty
    this.#banks = banks
    this.#thread = thread
    this.#failure = failure
  }

  /** Whether so many more dirty bytes fit. One write that is larger than the cap goes alone. */
  hasRoom(bytes: number): boolean {
    const dirtyBytes = this.#dirty.bytes
    return dirtyBytes + bytes <= this.capBytes || dirtyBytes === 0
  }

  /** To be called after writes: begins to write back when the cap is near. */
  startWhenNeeded(): void {
    if (!this.#running && this.#dirty.bytes > this.capBytes * WRITEBACK_FROM) {
      this.#running = true
      void this.#run()
    }
  }

  /** Resolves when something has been written back, by this or by a flush. */
  roomAfter(): Promise<void> {
    const room = new Promise<void>(resolve => this.#waiting.push(resolve))
    if (!this.#running) {
      this.#running = true
      void this.#run()
    }
    return room
  }

  /** Blocks that were taken from the tracker are on disk, or will never be. */
  written(blocks: number): void {
    this.#dirty.written(blocks)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async #run(): Promise<void> {
    while (this.#failure.error === null) {
      const wanted = this.#dirty.bytes > this.capBytes * WRITEBACK_FROM || this.#waiting.length > 0
      const taken = wanted ? this.#dirty.takeOldest() : null
      if (taken === null) break
      const fd = this.#banks[bankOf(taken.slot)]!.dataFd
      const offsetBytes = slotDataAt(indexOf(taken.slot))
      try {
        const result = await this.#thread.run({ writeBack: [{ fd, offsetBytes, lengthBytes: SLOT_BYTES }] })
        if (result < 0 && result !== -Errno.ENOSYS) this.#failure.set('writing back data', result)
      } catch (error) {
        this.#failure.set('writing back data', error)
      }
      this.written(taken.blocks)
    }
    this.#running = false
    if (this.#failure.error !== null) for (const wake of this.#waiting.splice(0)) wake()
  }
}
