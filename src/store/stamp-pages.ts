import { crc32c } from '../lib/crc32c.ts'
import type { Bank } from './bank.ts'
import type { StoreFiles } from './files/store-files.ts'
import {
  PAGE_BYTES,
  REGIONS_PER_SLOT,
  SLOTS_PER_BANK,
  SLOTS_PER_STAMP_PAGE,
  STAMP_UNKNOWN,
  stampPageAt,
} from './layout.ts'
import { type CachedPage, PageCache } from './page-cache.ts'

const PAGES_PER_BANK = Math.ceil(SLOTS_PER_BANK / SLOTS_PER_STAMP_PAGE)
const CACHE_BYTES = 4 * 1024 * 1024

// In words: checksum of the rest, 3 reserved, then per slot 256 stamps and a bitmap of the regions with space.
const SLOT_AT = 4
const BITMAP_WORDS = REGIONS_PER_SLOT / 32
const WORDS_PER_SLOT = REGIONS_PER_SLOT + BITMAP_WORDS
const CRC_FROM_BYTES = 4

function slotAt(index: number): number {
  return SLOT_AT + (index % SLOTS_PER_STAMP_PAGE) * WORDS_PER_SLOT
}

/** A page of zeroes was never written, and that is fine. */
function pageHolds(page: CachedPage): boolean {
  if (page.words[0] === crc32c(page.bytes, CRC_FROM_BYTES)) return true
  return page.words.every(word => word === 0)
}

function keyOf(bank: Bank, index: number): number {
  return bank.number * PAGES_PER_BANK + Math.floor(index / SLOTS_PER_STAMP_PAGE)
}

/** Region stamps and the bitmap of regions with space, three slots to a page. PROTOCOL rule 11. */
export class StampPages {
  readonly #files: StoreFiles
  readonly #cache: PageCache
  /** Of pages that are being put right. */
  readonly #damagedAtOpen = new Set<number>()
  readonly #banks: readonly Bank[]

  constructor(files: StoreFiles, banks: readonly Bank[]) {
    this.#files = files
    this.#banks = banks
    this.#cache = new PageCache(files, CACHE_BYTES, key => ({
      fd: banks[Math.floor(key / PAGES_PER_BANK)]!.stampFd,
      offsetBytes: stampPageAt(key % PAGES_PER_BANK),
    }))
  }

  has(bank: Bank, index: number): boolean {
    return this.#cache.peek(keyOf(bank, index)) !== undefined
  }

  /** Brings in the page of a slot: 0 or a negative errno. */
  load(bank: Bank, index: number): Promise<number> {
    return this.#cache.load(keyOf(bank, index))
  }

  /** The stamp of a region, or null when its page is not here. */
  stampOf(bank: Bank, index: number, region: number): number | null {
    const page = this.#cache.peek(keyOf(bank, index))
    return page === undefined ? null : page.words[slotAt(index) + region]!
  }

  /**
   * Stamps regions first to last of a slot whose page is here, and writes down which regions have space.
   * In the kernel's page cache when it returns; 0 or a negative errno.
   */
  stamp(bank: Bank, index: number, first: number, last: number, stamp: number): number {
    const page = this.#cache.peek(keyOf(bank, index))!
    const at = slotAt(index)
    page.words.fill(stamp, at + first, at + last + 1)
    return this.#write(bank, index, page)
  }

  /** As stamp(), for those regions that carry a lower one; an unknown one is the highest. */
  raise(bank: Bank, index: number, first: number, last: number, stamp: number): number {
    const page = this.#cache.peek(keyOf(bank, index))!
    const at = slotAt(index)
    let changed = false
    for (let i = at + first; i <= at + last; i++) {
      if (page.words[i]! >= stamp) continue
      page.words[i] = stamp
      changed = true
    }
    return changed ? this.#write(bank, index, page) : 0
  }

  /** Writes down which regions have space, with the stamps as they are. */
  writeAllocated(bank: Bank, index: number): number {
    return this.#write(bank, index, this.#cache.peek(keyOf(bank, index))!)
  }

  /** Turns every unknown stamp of a slot into `stamp`. */
  replaceUnknown(bank: Bank, index: number, stamp: number): number {
    const page = this.#cache.peek(keyOf(bank, index))!
    const at = slotAt(index)
    let changed = false
    for (let i = at; i < at + REGIONS_PER_SLOT; i++) {
      if (page.words[i] !== STAMP_UNKNOWN) continue
      page.words[i] = stamp
      changed = true
    }
    return changed ? this.#write(bank, index, page) : 0
  }

  /** Whether some stamp of a slot whose page is here is unknown. */
  hasUnknown(bank: Bank, index: number): boolean {
    const at = slotAt(index)
    return this.#cache
      .peek(keyOf(bank, index))!
      .words.subarray(at, at + REGIONS_PER_SLOT)
      .includes(STAMP_UNKNOWN)
  }

  /** A slot that is free again: no stamps, no space. */
  reset(bank: Bank, index: number): number {
    const page = this.#cache.peek(keyOf(bank, index))!
    page.words.fill(0, slotAt(index), slotAt(index) + WORDS_PER_SLOT)
    return this.#write(bank, index, page)
  }

  /**
   * At open: reads into the bank which regions of a slot have space. False when its page fails its checksum or
   * cannot be read: it is blank from then on, and so it is said for each slot of the page, until sealDamaged().
   */
  async readAllocated(bank: Bank, index: number): Promise<boolean> {
    const key = keyOf(bank, index)
    if (this.#damagedAtOpen.has(key)) return false
    if ((await this.load(bank, index)) < 0) {
      this.#cache.putZeroes(key)
      this.#damagedAtOpen.add(key)
      return false
    }
    const page = this.#cache.peek(key)!
    if (!pageHolds(page)) {
      page.words.fill(0)
      this.#damagedAtOpen.add(key)
      return false
    }
    const bitmapAt = slotAt(index) + REGIONS_PER_SLOT
    bank.allocated.set(page.words.subarray(bitmapAt, bitmapAt + BITMAP_WORDS), index * BITMAP_WORDS)
    return true
  }

  /**
   * At open, once every slot of them has been put right. Until then the checksums of those pages fail on disk too: the
   * next open would take the slots that were not reached yet for empty ones. 0 or a negative errno.
   */
  async sealDamaged(): Promise<number> {
    for (const key of [...this.#damagedAtOpen]) {
      const bank = this.#banks[Math.floor(key / PAGES_PER_BANK)]!
      const index = (key % PAGES_PER_BANK) * SLOTS_PER_STAMP_PAGE
      const loaded = await this.load(bank, index)
      if (loaded < 0) return loaded
      this.#damagedAtOpen.delete(key)
      const written = this.writeAllocated(bank, index)
      if (written < 0) return written
    }
    return 0
  }

  #write(bank: Bank, index: number, page: CachedPage): number {
    const { words, bytes } = page
    const bitmap = bank.allocated.subarray(index * BITMAP_WORDS, (index + 1) * BITMAP_WORDS)
    words.set(bitmap, slotAt(index) + REGIONS_PER_SLOT)
    const sum = crc32c(bytes, CRC_FROM_BYTES)
    words[0] = this.#damagedAtOpen.has(keyOf(bank, index)) ? ~sum : sum
    bank.stampsChanged = true
    const pageNumber = Math.floor(index / SLOTS_PER_STAMP_PAGE)
    const result = this.#files.pwrite(bank.stampFd, bytes, 0, PAGE_BYTES, stampPageAt(pageNumber))
    return Math.min(result, 0)
  }
}
