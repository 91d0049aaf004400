/** How an entry holds its range: reads share it, a write has it alone, a clear only keeps writes out. */
export const RangeHold = { read: 0, write: 1, clear: 2 } as const
export type RangeHold = (typeof RangeHold)[keyof typeof RangeHold]

/** Something that holds, or waits for, a range of whole blocks. Links belong to the queue. */
export interface RangeEntry {
  startBytes: number
  endBytes: number
  hold: RangeHold
  waiting: boolean
  nextEntry: RangeEntry | null
  previousEntry: RangeEntry | null
  /** The range is free: go. */
  begin(): void
}

/**
 * The owner's block locks (PROTOCOL rule 9): operations in the order of their arrival, each holding its range
 * from arrival to completion. One that overlaps an earlier one which it may not share a range with waits, so
 * overlapping operations never fly together and nobody is overtaken for ever.
 *
 * The list holds only operations that could not finish in place: usually none, at most the sum of the queue
 * depths of the sessions, which is why a walk beats an interval tree.
 */
export class OperationQueue {
  #first: RangeEntry | null = null
  #last: RangeEntry | null = null
  #waiting = 0

  get isEmpty(): boolean {
    return this.#first === null
  }

  get first(): RangeEntry | null {
    return this.#first
  }

  /** Would an operation on [startBytes, endBytes) have to wait? */
  conflicts(startBytes: number, endBytes: number, hold: RangeHold): boolean {
    return this.#conflictsBefore(null, startBytes, endBytes, hold)
  }

  /** Appends `entry`, and begins it at once if its range is free. */
  enter(entry: RangeEntry): void {
    const waits = this.conflicts(entry.startBytes, entry.endBytes, entry.hold)
    this.#insert(entry, null)
    entry.waiting = waits
    if (waits) this.#waiting++
    else entry.begin()
  }

  /**
   * As enter(), but only behind those that have begun: whoever waits overtakes them no more. `entries` do not overlap
   * each other; there may be many thousands.
   */
  enterAhead(entries: readonly RangeEntry[]): void {
    let firstWaiting = this.#first
    while (firstWaiting !== null && !firstWaiting.waiting) firstWaiting = firstWaiting.nextEntry
    // One that began behind one that waits conflicts with none before it, so that their order says nothing.
    for (let later = firstWaiting; later !== null; ) {
      const next = later.nextEntry
      if (!later.waiting) {
        this.#remove(later)
        this.#insert(later, firstWaiting)
      }
      later = next
    }
    const sorted = [...entries].sort((a, b) => a.startBytes - b.startBytes)
    const kept = new Set<RangeEntry>()
    for (let held = this.#first; held !== firstWaiting && held !== null; held = held.nextEntry) {
      for (let i = firstEndingAfter(sorted, held.startBytes); i < sorted.length; i++) {
        const entry = sorted[i]!
        if (entry.startBytes >= held.endBytes) break
        if (held.hold === RangeHold.write || entry.hold === RangeHold.write) kept.add(entry)
      }
    }
    for (const entry of entries) {
      entry.waiting = kept.has(entry)
      this.#insert(entry, firstWaiting)
    }
    this.#waiting += kept.size
    for (const entry of entries) if (!kept.has(entry)) entry.begin()
  }

  /** The first that waits, from the end: thousands that hold a range and wait for nobody may stand before it. */
  get firstWaiting(): RangeEntry | null {
    let found: RangeEntry | null = null
    let left = this.#waiting
    for (let entry = this.#last; left > 0 && entry !== null; entry = entry.previousEntry) {
      if (!entry.waiting) continue
      found = entry
      left--
    }
    return found
  }

  /** Takes `entry` out, whether it holds or waits, and begins those that it kept waiting. */
  leave(entry: RangeEntry): void {
    this.#remove(entry)
    if (entry.waiting) this.#waiting--
    entry.waiting = false
    if (this.#waiting > 0) this.#beginFreed(entry)
  }

  /** `before` null: at the end. */
  #insert(entry: RangeEntry, before: RangeEntry | null): void {
    entry.nextEntry = before
    entry.previousEntry = before === null ? this.#last : before.previousEntry
    if (entry.previousEntry === null) this.#first = entry
    else entry.previousEntry.nextEntry = entry
    if (before === null) this.#last = entry
    else before.previousEntry = entry
  }

  #remove(entry: RangeEntry): void {
    if (entry.previousEntry === null) this.#first = entry.nextEntry
    else entry.previousEntry.nextEntry = entry.nextEntry
    if (entry.nextEntry === null) this.#last = entry.previousEntry
    else entry.nextEntry.previousEntry = entry.previousEntry
    entry.nextEntry = entry.previousEntry = null
  }

  /** Of those that wait only who overlaps the one that left can be free now. */
  #beginFreed({ startBytes, endBytes }: RangeEntry): void {
    for (let entry = this.firstWaiting; entry !== null && this.#waiting > 0; ) {
      const isFreed =
        entry.waiting &&
        entry.startBytes < endBytes &&
        entry.endBytes > startBytes &&
        !this.#conflictsBefore(entry, entry.startBytes, entry.endBytes, entry.hold)
      if (isFreed) {
        entry.waiting = false
        this.#waiting--
        entry.begin()
        // It may have left already, and others with it.
        entry = this.firstWaiting
      } else entry = entry.nextEntry
    }
  }

  #conflictsBefore(stop: RangeEntry | null, startBytes: number, endBytes: number, hold: RangeHold): boolean {
    for (let entry = this.#first; entry !== stop && entry !== null; entry = entry.nextEntry) {
      if (entry.endBytes <= startBytes || entry.startBytes >= endBytes) continue
      if (entry.hold === RangeHold.write || hold === RangeHold.write) return true
    }
    return false
  }
}

/** Where in `sorted`, whose entries do not overlap, the first one is that ends after `atBytes`. */
function firstEndingAfter(sorted: readonly RangeEntry[], atBytes: number): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if (sorted[middle]!.endBytes > atBytes) to = middle
    else from = middle + 1
  }
  return from
}
