import { RANGE_BYTES, REGION_BYTES, REGIONS_PER_SEGMENT } from '../../store/layout.ts'

export const REGIONS_PER_RANGE = RANGE_BYTES / REGION_BYTES
const WORDS_PER_RANGE = REGIONS_PER_RANGE / 32

/** Regions of some ranges of a volume, a bit each: 2 KiB per range that has any. */
export class RegionSet {
  readonly #ranges: ReadonlySet<number>
  readonly #words = new Map<number, Uint32Array>()
  #count = 0

  /** Of other ranges nothing is ever in it. */
  constructor(ranges: Iterable<number>) {
    this.#ranges = new Set(ranges)
  }

  get count(): number {
    return this.#count
  }

  /** Whether the region lies in one of the ranges. */
  covers(region: number): boolean {
    return this.#ranges.has(Math.floor(region / REGIONS_PER_RANGE))
  }

  has(region: number): boolean {
    const words = this.#words.get(Math.floor(region / REGIONS_PER_RANGE))
    if (words === undefined) return false
    const bit = region % REGIONS_PER_RANGE
    return ((words[bit >>> 5]! >>> (bit & 31)) & 1) === 1
  }

  add(region: number): void {
    const range = Math.floor(region / REGIONS_PER_RANGE)
    if (!this.#ranges.has(range)) return
    let words = this.#words.get(range)
    if (words === undefined) {
      words = new Uint32Array(WORDS_PER_RANGE)
      this.#words.set(range, words)
    }
    if (this.has(region)) return
    const bit = region % REGIONS_PER_RANGE
    words[bit >>> 5]! |= 1 << (bit & 31)
    this.#count++
  }

  addSegment(segment: number): void {
    for (let i = 0; i < REGIONS_PER_SEGMENT; i++) this.add(segment * REGIONS_PER_SEGMENT + i)
  }

  delete(region: number): void {
    if (!this.has(region)) return
    const bit = region % REGIONS_PER_RANGE
    this.#words.get(Math.floor(region / REGIONS_PER_RANGE))![bit >>> 5]! &= ~(1 << (bit & 31))
    this.#count--
  }

  /** All regions below `end`, in order. What is added or deleted meanwhile may or may not be met. */
  *regions(end: number): Generator<number> {
    for (const range of [...this.#words.keys()].sort((a, b) => a - b)) {
      const words = this.#words.get(range)!
      for (let at = 0; at < WORDS_PER_RANGE; at++) {
        if (words[at] === 0) continue
        for (let bit = 0; bit < 32; bit++) {
          const region = range * REGIONS_PER_RANGE + at * 32 + bit
          if (region >= end) return
          if ((words[at]! >>> bit) & 1) yield region
        }
      }
    }
  }
}
