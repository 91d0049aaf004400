import { BLOCK_BYTES, BLOCKS_PER_SLOT, bankOf } from './layout.ts'

/** The blocks of one slot that were written since its data last began to be written back. */
class DirtySlot {
  slot = 0
  blocks = 0
  readonly bits = new Uint32Array(BLOCKS_PER_SLOT / 32)
}

/** Bitmaps kept for the next slots that become dirty: 2 KiB each. */
const IDLE_BITMAPS_MAX = 1024

/**
 * Bytes that the kernel holds dirty for this brick, exact per 4 KiB block. What is being written back counts
 * until it has been; a block written again meanwhile counts twice, as it will be written twice.
 */
export class DirtyTracker {
  readonly #slots = new Map<number, DirtySlot>()
  readonly #idle: DirtySlot[] = []
  #blocks = 0

  get bytes(): number {
    return this.#blocks * BLOCK_BYTES
  }

  mark(slot: number, firstBlock: number, count: number): void {
    let dirty = this.#slots.get(slot)
    if (dirty === undefined) {
      dirty = this.#idle.pop() ?? new DirtySlot()
      dirty.slot = slot
      this.#slots.set(slot, dirty)
    }
    const { bits } = dirty
    let fresh = 0
    for (let block = firstBlock; block < firstBlock + count; block++) {
      const word = bits[block >>> 5]!
      const bit = 1 << (block & 31)
      if ((word & bit) === 0) {
        bits[block >>> 5] = word | bit
        fresh++
      }
    }
    dirty.blocks += fresh
    this.#blocks += fresh
  }

  /** How many bytes of this range are clean now. */
  cleanBytes(slot: number, firstBlock: number, count: number): number {
    const dirty = this.#slots.get(slot)
    if (dirty === undefined) return count * BLOCK_BYTES
    let clean = 0
    for (let block = firstBlock; block < firstBlock + count; block++) {
      if ((dirty.bits[block >>> 5]! & (1 << (block & 31))) === 0) clean++
    }
    return clean * BLOCK_BYTES
  }

  /** A sync of a whole data file begins: answers the blocks that it covers, for written(). */
  takeBank(bank: number): number {
    let blocks = 0
    for (const dirty of this.#slots.values()) {
      if (bankOf(dirty.slot) === bank) blocks += this.#take(dirty)
    }
    return blocks
  }

  /** Begins to write back the slot that has been dirty for longest; null when none is. */
  takeOldest(): { slot: number; blocks: number } | null {
    for (const dirty of this.#slots.values()) return { slot: dirty.slot, blocks: this.#take(dirty) }
    return null
  }

  /** That many taken blocks are clean. */
  written(blocks: number): void {
    this.#blocks -= blocks
  }

  /** A slot that is given back has nothing to be written. */
  forget(slot: number): void {
    const dirty = this.#slots.get(slot)
    if (dirty !== undefined) this.written(this.#take(dirty))
  }

  #take(dirty: DirtySlot): number {
    const { blocks } = dirty
    this.#slots.delete(dirty.slot)
    if (this.#idle.length < IDLE_BITMAPS_MAX) {
      dirty.bits.fill(0)
      dirty.blocks = 0
      this.#idle.push(dirty)
    }
    return blocks
  }
}
