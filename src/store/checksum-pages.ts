import type { Bank } from './bank.ts'
import type { StoreFiles } from './files/store-files.ts'
import {
  BLOCKS_PER_SEGMENT,
  bankOf,
  CHECKSUM_BYTES,
  FIRST_PRESENT,
  indexOf,
  PAGE_BYTES,
  SEGMENTS_PER_SLOT,
  slotChecksumsAt,
} from './layout.ts'
import { type CachedPage, PageCache } from './page-cache.ts'

const scratch = Buffer.from(new ArrayBuffer(PAGE_BYTES))
const scratchWords = new Uint32Array(scratch.buffer)

/**
 * The flat checksum files, cached by page: one page is one segment. Entries are little-endian words, so that
 * a page is read in place. The key of a page is slot × 16 + segment.
 */
export class ChecksumPages {
  readonly #files: StoreFiles
  readonly #cache: PageCache

  constructor(files: StoreFiles, banks: readonly Bank[], limitBytes: number) {
    this.#files = files
    this.#cache = new PageCache(files, limitBytes, key => {
      const slot = Math.floor(key / SEGMENTS_PER_SLOT)
      const segmentAt = (key % SEGMENTS_PER_SLOT) * PAGE_BYTES
      return {
        fd: banks[bankOf(slot)]!.checksumFd,
        offsetBytes: slotChecksumsAt(indexOf(slot)) + segmentAt,
      }
    })
  }

  peek(slot: number, segment: number): CachedPage | undefined {
    return this.#cache.peek(slot * SEGMENTS_PER_SLOT + segment)
  }

  load(slot: number, segment: number): Promise<number> {
    return this.#cache.load(slot * SEGMENTS_PER_SLOT + segment)
  }

  putZeroes(slot: number, segment: number): void {
    this.#cache.putZeroes(slot * SEGMENTS_PER_SLOT + segment)
  }

  forgetSlot(slot: number): void {
    for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
      this.#cache.forget(slot * SEGMENTS_PER_SLOT + segment)
    }
  }

  /**
   * Sets `count` entries from block `first` of a segment, in the page and in the page cache of the kernel:
   * taken from `entries[from...]`, or all `fill`. Answers 0 or a negative errno.
   */
  set(
    bank: Bank,
    index: number,
    segment: number,
    page: CachedPage,
    first: number,
    count: number,
    entries: Uint32Array | null,
    fromOrFill: number,
  ): number {
    const { words } = page
    for (let i = 0; i < count; i++) {
      const entry = entries === null ? fromOrFill : entries[fromOrFill + i]!
      const before = words[first + i]!
      if ((before < FIRST_PRESENT || entry < FIRST_PRESENT) && before !== entry) bank.presenceChanged = true
      words[first + i] = entry
      scratchWords[i] = entry
    }
    bank.checksumsChanged = true
    const at = slotChecksumsAt(index) + (segment * BLOCKS_PER_SEGMENT + first) * CHECKSUM_BYTES
    const result = this.#files.pwrite(bank.checksumFd, scratch, 0, count * CHECKSUM_BYTES, at)
    return Math.min(result, 0)
  }
}
