import { invariant } from '../lib/invariant.ts'
import { type Bank, openBank } from './bank.ts'
import type { StoreFiles } from './files/store-files.ts'
import { bankOf } from './layout.ts'

/** Slots without an extent. Nothing here is durable: at open it follows from the slots that have one. */
export class SlotAllocator {
  readonly #files: StoreFiles
  readonly #banks: Bank[]
  readonly #brick: { directory: string; uuid: string }
  readonly #free: number[] = []
  /** The same, to notice one that is given twice. */
  readonly #isFree = new Set<number>()
  #next = 0

  constructor(files: StoreFiles, banks: Bank[], brick: { directory: string; uuid: string }) {
    this.#files = files
    this.#banks = banks
    this.#brick = brick
  }

  /** Slots up to here have been used at some time. */
  get end(): number {
    return this.#next
  }

  /** At open: everything up to the highest slot that `isTaken`, with gaps, is in use or free. */
  restore(end: number, isTaken: (slot: number) => boolean): void {
    this.#next = end
    for (let slot = end - 1; slot >= 0; slot--) if (!isTaken(slot)) this.give(slot)
  }

  /** A free slot, in a file that exists; throws what the file layer throws when a file cannot be made. */
  take(): number {
    const slot = this.#free.pop() ?? this.#next++
    this.#isFree.delete(slot)
    const number = bankOf(slot)
    if (this.#banks[number] === undefined) {
      try {
        this.#banks[number] = openBank(this.#files, this.#brick, number, true)
      } catch (error) {
        this.give(slot)
        throw error
      }
    }
    return slot
  }

  /** Only of a slot that is punched, with its checksums and stamps reset, durably. */
  give(slot: number): void {
    invariant(!this.#isFree.has(slot), 'a slot is given back once')
    this.#isFree.add(slot)
    this.#free.push(slot)
  }
}
