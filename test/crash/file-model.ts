import { invariant } from '../../src/lib/invariant.ts'

export const PAGE_BYTES = 4096

/** What a crash does to the changes of one page, or of a file's size, that were not durable yet. */
export interface Survival {
  /** How many of `count` changes, oldest first, the disk has. */
  survivors(count: number): number
}

/** One change of one page: bytes put at an offset in it; null bytes are zeroes. */
interface PageChange {
  readonly index: number
  readonly at: number
  readonly length: number
  readonly bytes: Buffer | null
}

interface SizeChange {
  readonly index: number
  readonly sizeBytes: number
}

/** A file as its disk has it for certain, and every change since, in order, that it may or may not have. */
export class FileModel {
  #durable = new Map<number, Buffer>()
  #durableSizeBytes = 0
  #pending = new Map<number, PageChange[]>()
  #pendingSizes: SizeChange[] = []

  get #sizeBytes(): number {
    return this.#pendingSizes.at(-1)?.sizeBytes ?? this.#durableSizeBytes
  }

  /** `index` is the position in the record, and orders changes against syncs. */
  write(index: number, offset: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const at = (offset + done) % PAGE_BYTES
      const length = Math.min(PAGE_BYTES - at, bytes.length - done)
      const part = bytes.subarray(done, done + length)
      this.#change((offset + done - at) / PAGE_BYTES, { index, at, length, bytes: part })
      done += length
    }
    this.extend(index, offset + bytes.length)
  }

  extend(index: number, sizeBytes: number): void {
    if (sizeBytes > this.#sizeBytes) this.#pendingSizes.push({ index, sizeBytes })
  }

  truncate(index: number, sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) this.zero(index, sizeBytes, this.#sizeBytes - sizeBytes)
    this.#pendingSizes.push({ index, sizeBytes })
  }

  /** A hole, a zeroed range or what a truncation cut off. Pages that never held anything stay so. */
  zero(index: number, offset: number, lengthBytes: number): void {
    const end = offset + lengthBytes
    for (const page of new Set([...this.#durable.keys(), ...this.#pending.keys()])) {
      const from = Math.max(offset, page * PAGE_BYTES)
      const to = Math.min(end, (page + 1) * PAGE_BYTES)
      if (from >= to) continue
      this.#change(page, { index, at: from % PAGE_BYTES, length: to - from, bytes: null })
    }
  }

  /** Everything before position `index` of the record is on the disk. */
  sync(index: number): void {
    for (const [page, changes] of this.#pending) {
      let count = 0
      while (count < changes.length && changes[count]!.index < index) count++
      if (count === 0) continue
      const content = this.#content(page, changes, count)
      if (content === null) this.#durable.delete(page)
      else this.#durable.set(page, content)
      if (count === changes.length) this.#pending.delete(page)
      else changes.splice(0, count)
    }
    while (this.#pendingSizes.length > 0 && this.#pendingSizes[0]!.index < index) {
      this.#durableSizeBytes = this.#pendingSizes.shift()!.sizeBytes
    }
  }

  /** The file as a crash leaves it: its size, and its pages that are not zero, in no order. */
  crash(survival: Survival): { sizeBytes: number; pages: Map<number, Buffer> } {
    const sizes = survival.survivors(this.#pendingSizes.length)
    const sizeBytes = sizes === 0 ? this.#durableSizeBytes : this.#pendingSizes[sizes - 1]!.sizeBytes
    const pages = new Map<number, Buffer>()
    for (const [page, content] of this.#durable) {
      if (!this.#pending.has(page) && page * PAGE_BYTES < sizeBytes) pages.set(page, content)
    }
    for (const [page, changes] of this.#pending) {
      const content = this.#content(page, changes, survival.survivors(changes.length))
      if (content !== null && page * PAGE_BYTES < sizeBytes) pages.set(page, content)
    }
    return { sizeBytes, pages }
  }

  #change(page: number, change: PageChange): void {
    const changes = this.#pending.get(page)
    if (changes === undefined) this.#pending.set(page, [change])
    else changes.push(change)
  }

  // Null when the page is a hole.
  #content(page: number, changes: readonly PageChange[], count: number): Buffer | null {
    let first = count
    while (first > 0 && changes[first - 1]!.length < PAGE_BYTES) first--
    const whole = first > 0 ? changes[first - 1]! : null
    const base = whole === null ? (this.#durable.get(page) ?? null) : whole.bytes
    if (first === count) return base
    const content = base === null ? Buffer.alloc(PAGE_BYTES) : Buffer.from(base)
    for (const change of changes.slice(first, count)) {
      invariant(change.at + change.length <= PAGE_BYTES, 'a change stays in its page')
      if (change.bytes === null) content.fill(0, change.at, change.at + change.length)
      else change.bytes.copy(content, change.at)
    }
    return content
  }
}
