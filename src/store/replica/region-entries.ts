import { createHash, randomBytes } from 'node:crypto'
import { unlike } from '../block-judge.ts'
import type { BrickParts } from '../brick-parts.ts'
import { isQuestionable } from '../doubt.ts'
import {
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  bankOf,
  FIRST_PRESENT,
  indexOf,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  REGIONS_PER_SLOT,
} from '../layout.ts'
import type { RegionDigest } from '../replica-store.ts'
import { NO_SLOT, type VolumeMap } from '../volume-map.ts'
import type { WaitingRead } from '../waiting-read.ts'
import { contentOf } from './entry-content.ts'

const HASH_HEX_DIGITS = 32
const NOTHING = hashOf(new Uint32Array(BLOCKS_PER_REGION))

/** What regions hold, told by their checksums, so that two bricks can compare them. */
export class RegionEntries {
  readonly #parts: BrickParts
  readonly #reads: WaitingRead

  constructor(parts: BrickParts, reads: WaitingRead) {
    this.#parts = parts
    this.#reads = reads
  }

  async digests(map: VolumeMap, firstRegion: number, count: number): Promise<RegionDigest[]> {
    const digests: RegionDigest[] = []
    for (let region = firstRegion; region < firstRegion + count; region++) {
      digests.push(await this.#digest(map, region))
    }
    return digests
  }

  /** One per block of a region. Where it is questionable a block that differs from its checksum gets another one. */
  async entries(map: VolumeMap, region: number): Promise<Uint32Array> {
    return (await this.#read(map, region)).entries
  }

  async #read(map: VolumeMap, region: number): Promise<{ entries: Uint32Array; differs: boolean }> {
    const slot = map.slots[Math.floor(region / REGIONS_PER_SLOT)] ?? NO_SLOT
    const inSlot = region % REGIONS_PER_SLOT
    if (slot === NO_SLOT || !this.#parts.banks[bankOf(slot)]!.isAllocated(indexOf(slot), inSlot)) {
      return { entries: new Uint32Array(BLOCKS_PER_REGION), differs: false }
    }
    const entries = await this.#stored(slot, inSlot)
    if (!isQuestionable(this.#parts, slot, Math.floor(inSlot / REGIONS_PER_SEGMENT))) {
      return { entries, differs: false }
    }
    return { entries, differs: await this.#verify(slot, inSlot, entries) }
  }

  async #digest(map: VolumeMap, region: number): Promise<RegionDigest> {
    const extent = Math.floor(region / REGIONS_PER_SLOT)
    const slot = map.slots[extent] ?? NO_SLOT
    if (slot === NO_SLOT) return { stamp: 0, hash: NOTHING }
    const { entries, differs } = await this.#read(map, region)
    // Two bricks may have the same block torn under the same checksum: they are not alike, they are both bad.
    const hash = differs ? randomBytes(HASH_HEX_DIGITS / 2).toString('hex') : hashOf(entries)
    const { banks, failure, stamps } = this.#parts
    for (;;) {
      const stamp = stamps.stampOf(banks[bankOf(slot)]!, indexOf(slot), region % REGIONS_PER_SLOT)
      if (stamp !== null) return { stamp, hash }
      const loaded = await stamps.load(banks[bankOf(slot)]!, indexOf(slot))
      if (loaded < 0) throw failure.set('reading stamps', loaded)
    }
  }

  async #stored(slot: number, inSlot: number): Promise<Uint32Array> {
    const { checksums, failure } = this.#parts
    const segment = Math.floor(inSlot / REGIONS_PER_SEGMENT)
    const first = (inSlot * BLOCKS_PER_REGION) % BLOCKS_PER_SEGMENT
    for (;;) {
      const page = checksums.peek(slot, segment)
      if (page !== undefined) return page.words.slice(first, first + BLOCKS_PER_REGION)
      const loaded = await checksums.load(slot, segment)
      if (loaded < 0) throw failure.set('reading checksums', loaded)
    }
  }

  /** Whether any block differs from its checksum. */
  async #verify(slot: number, inSlot: number, entries: Uint32Array): Promise<boolean> {
    if (!entries.some(entry => entry >= FIRST_PRESENT)) return false
    let differs = false
    const buffer = Buffer.allocUnsafe(REGION_BYTES)
    const first = inSlot * BLOCKS_PER_REGION
    for (let block = 0; block < BLOCKS_PER_REGION; ) {
      const bad = await this.#reads.readPart(slot, first + block, first + BLOCKS_PER_REGION, buffer, 0)
      if (this.#parts.failure.error !== null) throw this.#parts.failure.error
      if (bad < 0) return differs
      entries[bad - first] = unlike(entries[bad - first]!)
      differs = true
      block = bad - first + 1
    }
    return differs
  }
}

function hashOf(entries: Uint32Array): string {
  return createHash('sha256').update(entries.map(contentOf)).digest('hex').slice(0, HASH_HEX_DIGITS)
}
