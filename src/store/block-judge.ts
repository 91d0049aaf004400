import { crc32c } from '../lib/crc32c.ts'
import type { Bank } from './bank.ts'
import type { BrickParts } from './brick-parts.ts'
import { isInDoubt, standsAlone } from './doubt.ts'
import { BLOCK_BYTES, BLOCKS_PER_SEGMENT, entryOf, FIRST_PRESENT, indexOf, slotDataAt } from './layout.ts'
import type { CachedPage } from './page-cache.ts'
import { runHolds } from './run-checksum.ts'

/**
 * Says whether blocks hold what their checksums say. A block that differs in a segment in doubt after an unclean
 * stop is bad, so that another copy may win; where there is none it stands, and its checksum is recomputed.
 */
export class BlockJudge {
  readonly #parts: BrickParts
  readonly #block = Buffer.alloc(BLOCK_BYTES)
  readonly #entry = new Uint32Array(1)
  #settledBlocks = 0

  constructor(parts: BrickParts) {
    this.#parts = parts
  }

  /** Blocks in doubt whose checksum was recomputed since the brick was opened. */
  get settledBlocks(): number {
    return this.#settledBlocks
  }

  /**
   * The first of the present blocks [from, end) read into `into` that is bad, or -1. A difference is looked at
   * again before it counts, since what was read on a thread may have been overtaken; `into` gets the last look.
   */
  firstBad(
    bank: Bank,
    slot: number,
    page: CachedPage,
    from: number,
    end: number,
    into: Buffer,
    at: number,
  ): number {
    const count = end - from
    if (count > 1 && runHolds(page.words, from % BLOCKS_PER_SEGMENT, count, into, at)) return -1
    for (let block = from; block < end; block++) {
      const target = at + (block - from) * BLOCK_BYTES
      const entry = page.words[block % BLOCKS_PER_SEGMENT]!
      if (entry >= FIRST_PRESENT && entryOf(crc32c(into, target, BLOCK_BYTES)) === entry) continue
      if (!this.lookAgain(bank, slot, block, page)) return block
      this.#block.copy(into, target)
    }
    return -1
  }

  /** Reads one block, waiting for the disk if it must: whether it holds, or holds now because it stands. */
  lookAgain(bank: Bank, slot: number, block: number, page: CachedPage): boolean {
    const entry = page.words[block % BLOCKS_PER_SEGMENT]!
    if (entry < FIRST_PRESENT) {
      this.#block.fill(0)
      return true
    }
    const result = this.#read(bank, slot, block)
    if (result >= 0 && entryOf(crc32c(this.#block)) === entry) return true
    const inDoubt = isInDoubt(this.#parts, slot, Math.floor(block / BLOCKS_PER_SEGMENT))
    if (result < 0 || !inDoubt) {
      this.#parts.counters.checksumErrors++
      return false
    }
    if (!standsAlone(this.#parts, slot)) return false
    this.#settledBlocks++
    return this.#setEntry(bank, slot, block, page, entryOf(crc32c(this.#block))) >= 0
  }

  /** The checksum becomes that of what the block holds now. 0 or a negative errno. */
  adopt(bank: Bank, slot: number, block: number, page: CachedPage): number {
    const result = this.#read(bank, slot, block)
    return result < 0 ? result : this.#setEntry(bank, slot, block, page, entryOf(crc32c(this.#block)))
  }

  /** No read of this block succeeds until it is written. 0 or a negative errno. */
  spoil(bank: Bank, slot: number, block: number, page: CachedPage): number {
    this.#read(bank, slot, block)
    return this.#setEntry(bank, slot, block, page, unlike(entryOf(crc32c(this.#block))))
  }

  // What the file ends before was never written: it reads as zeroes.
  #read(bank: Bank, slot: number, block: number): number {
    this.#block.fill(0)
    const offset = slotDataAt(indexOf(slot)) + block * BLOCK_BYTES
    return this.#parts.files.pread(bank.dataFd, this.#block, 0, BLOCK_BYTES, offset)
  }

  #setEntry(bank: Bank, slot: number, block: number, page: CachedPage, entry: number): number {
    this.#entry[0] = entry
    const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
    const first = block % BLOCKS_PER_SEGMENT
    const { checksums, failure } = this.#parts
    const result = checksums.set(bank, indexOf(slot), segment, page, first, 1, this.#entry, 0)
    if (result < 0) failure.set('writing checksums', result)
    return result
  }
}

/** An entry of a present block that this one is not. */
export function unlike(entry: number): number {
  return entryOf(~entry >>> 0)
}
