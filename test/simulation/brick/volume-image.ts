import { crc32c } from '../../../src/lib/crc32c.ts'
import type { ReplicaDescriptor } from '../../../src/replication/replica-store.ts'
import type { Random } from '../world/random.ts'
import { RedoJournal, type RedoRecord } from './redo-journal.ts'

export const BLOCK_BYTES = 4096
export const REGION_BYTES = 256 * 1024
export const SEGMENT_BYTES = 4 * 1024 * 1024
export const BLOCKS_PER_REGION = REGION_BYTES / BLOCK_BYTES
export const BLOCKS_PER_SEGMENT = SEGMENT_BYTES / BLOCK_BYTES
export const REGIONS_PER_SEGMENT = SEGMENT_BYTES / REGION_BYTES
export const STAMP_UNKNOWN = 0xffffffff
const SECTOR_BYTES = 512

/** What a checksum entry can say besides a checksum. */
export const Entry = { absent: 0, zero: 1, bad: 2, firstPresent: 3 } as const

export const ZERO_BLOCK = Buffer.alloc(BLOCK_BYTES)

/** Pages are never changed in place: what a checksum once was it stays. */
const knownEntries = new WeakMap<Buffer, number>()

export function entryOf(block: Buffer): number {
  let entry = knownEntries.get(block)
  if (entry === undefined) {
    const crc = crc32c(block)
    entry = crc < Entry.firstPresent ? (crc ^ 0x80000000) >>> 0 : crc
    knownEntries.set(block, entry)
  }
  return entry
}

/** A page of a file: what programs see, and what would be there after the power came back. */
interface Page {
  cache: Buffer
  disk: Buffer
  dirty: boolean
  /** Counts the writes to it, and of the newest one on the platter. */
  version: number
  diskVersion: number
}

/** A page of checksum entries or stamps: 4 bytes each. A checksum page covers exactly one segment. */
class WordPage {
  cache: Uint32Array
  disk: Uint32Array
  dirty = false
  version = 0
  diskVersion = 0
  /** Words that went with their slot, which is durable, and the version since which they are 0. */
  readonly #freed = new Map<number, number>()

  constructor(words: number) {
    this.cache = new Uint32Array(words)
    this.disk = new Uint32Array(words)
  }

  set(at: number, word: number): void {
    this.cache[at] = word
    this.dirty = true
    this.version++
  }

  free(at: number): void {
    this.cache[at] = 0
    this.disk[at] = 0
    this.#freed.set(at, ++this.version)
  }

  lengthen(words: number): void {
    if (words <= this.cache.length) return
    const longer = (from: Uint32Array) => {
      const to = new Uint32Array(words)
      to.set(from)
      return to
    }
    this.cache = longer(this.cache)
    this.disk = longer(this.disk)
  }

  snapshot(): WordSnapshot {
    return { words: this.cache.slice(), version: this.version }
  }

  /** An fsync that began earlier may come back later: what is newer stays. */
  synced({ words, version }: WordSnapshot): void {
    if (version <= this.diskVersion) return
    this.disk.set(words)
    for (const [at, since] of this.#freed) if (since > version) this.disk[at] = 0
    this.diskVersion = version
    if (version === this.version) this.dirty = false
  }

  toDisk(): void {
    if (this.dirty) this.disk.set(this.cache)
    this.dirty = false
  }

  losePower(kept: boolean): void {
    if (kept) this.toDisk()
    else this.cache.set(this.disk)
    this.dirty = false
  }
}

interface WordSnapshot {
  readonly words: Uint32Array
  readonly version: number
}

/** A promise of an fsync: what was dirty when it began. */
export interface FlushSnapshot {
  readonly pages: Map<number, { readonly data: Buffer; readonly version: number }>
  readonly sums: Map<number, WordSnapshot>
  readonly stamps: WordSnapshot | null
  readonly redo: readonly RedoRecord[]
}

/** A volume's files on one disk, page cache and platter. Outlives processes; power loss takes what was not synced. */
export class VolumeImage {
  readonly uuid: string
  sizeBytes: number
  descriptor: ReplicaDescriptor
  /** Durable: what a group commit put there. */
  readonly active = new Set<number>()
  readonly allocated = new Set<number>()
  readonly journal = new RedoJournal()
  atomicsAtOpen: readonly { offsetBytes: number; lengthBytes: number }[] = []
  readonly #pages = new Map<number, Page>()
  readonly #sums = new Map<number, WordPage>()
  readonly #stamps: WordPage
  /** What rotted, until it is written anew. */
  readonly #rotten = new Map<number, { readonly rotten: Buffer; readonly whole: Buffer }>()

  constructor(uuid: string, sizeBytes: number, descriptor: ReplicaDescriptor) {
    this.uuid = uuid
    this.sizeBytes = sizeBytes
    this.descriptor = descriptor
    this.#stamps = new WordPage(Math.ceil(sizeBytes / REGION_BYTES))
  }

  get regions(): number {
    return Math.ceil(this.sizeBytes / REGION_BYTES)
  }

  grow(sizeBytes: number): void {
    this.sizeBytes = Math.max(this.sizeBytes, sizeBytes)
    this.#stamps.lengthen(this.regions)
  }

  stamp(region: number): number {
    return this.#stamps.cache[region]!
  }

  setStamp(region: number, stamp: number): void {
    if (this.#stamps.cache[region] === stamp) return
    this.#stamps.set(region, stamp)
  }

  entry(block: number): number {
    return this.#sums.get(Math.floor(block / BLOCKS_PER_SEGMENT))?.cache[block % BLOCKS_PER_SEGMENT] ?? 0
  }

  setEntry(block: number, entry: number): void {
    const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
    let page = this.#sums.get(segment)
    if (page === undefined) {
      page = new WordPage(BLOCKS_PER_SEGMENT)
      this.#sums.set(segment, page)
    }
    page.set(block % BLOCKS_PER_SEGMENT, entry)
  }

  /** Bytes as they lie there, checksum or not. */
  data(block: number): Buffer {
    return this.#pages.get(block)?.cache ?? ZERO_BLOCK
  }

  setData(block: number, data: Buffer): void {
    const page = this.#pages.get(block)
    if (page === undefined) {
      this.#pages.set(block, { cache: data, disk: ZERO_BLOCK, dirty: true, version: 1, diskVersion: 0 })
      return
    }
    page.cache = data
    page.dirty = true
    page.version++
  }

  /** What a reader gets, or null when the checksum does not hold. */
  verified(block: number): Buffer | null {
    const entry = this.entry(block)
    if (entry === Entry.bad) return null
    if (entry < Entry.firstPresent) return ZERO_BLOCK
    const data = this.data(block)
    return entryOf(data) === entry ? data : null
  }

  /** What a reader would get after the power of this brick alone had failed now with nothing kept. */
  verifiedOnDisk(block: number): Buffer | null {
    const entry =
      this.#sums.get(Math.floor(block / BLOCKS_PER_SEGMENT))?.disk[block % BLOCKS_PER_SEGMENT] ?? 0
    if (entry === Entry.bad) return null
    if (entry < Entry.firstPresent) return ZERO_BLOCK
    const data = this.#pages.get(block)?.disk ?? ZERO_BLOCK
    return entryOf(data) === entry ? data : null
  }

  /** Else it is absent and always was. */
  wasTouched(block: number): boolean {
    return this.#pages.has(block) || this.entry(block) !== Entry.absent
  }

  presentBlocks(): number[] {
    return [...this.#pages.keys()].filter(block => this.entry(block) >= Entry.firstPresent)
  }

  snapshot(): FlushSnapshot {
    const pages = new Map<number, { data: Buffer; version: number }>()
    for (const [block, page] of this.#pages) {
      if (page.dirty) pages.set(block, { data: page.cache, version: page.version })
    }
    const sums = new Map<number, WordSnapshot>()
    for (const [segment, page] of this.#sums) if (page.dirty) sums.set(segment, page.snapshot())
    const stamps = this.#stamps.dirty ? this.#stamps.snapshot() : null
    return { pages, sums, stamps, redo: this.journal.inPlace }
  }

  /** The fsync came back: what was dirty when it began is on the platter. */
  synced({ pages, sums, stamps, redo }: FlushSnapshot): void {
    for (const [block, { data, version }] of pages) {
      const page = this.#pages.get(block)
      if (page === undefined || version <= page.diskVersion) continue
      page.disk = data
      page.diskVersion = version
      if (page.version === version) page.dirty = false
    }
    for (const [segment, words] of sums) this.#sums.get(segment)!.synced(words)
    if (stamps !== null) this.#stamps.synced(stamps)
    this.journal.retire(redo)
  }

  /** An opening puts in place what the redo journal holds, and makes it durable before anything else. */
  replayJournal(): number {
    this.atomicsAtOpen = this.journal.spans
    const records = this.journal.takeAll()
    for (const { offsetBytes, data } of records) {
      for (let at = 0; at < data.length; at += BLOCK_BYTES) {
        const block = (offsetBytes + at) / BLOCK_BYTES
        const page = data.subarray(at, at + BLOCK_BYTES)
        this.setData(block, page)
        this.setEntry(block, entryOf(page))
        this.setStamp(Math.floor(block / BLOCKS_PER_REGION), STAMP_UNKNOWN)
      }
    }
    // Also what was in place already, for nothing says that it is on the platter.
    if (this.atomicsAtOpen.length > 0) this.synced(this.snapshot())
    return records.length
  }

  /** The fsync failed: the kernel calls these pages clean and will never write them. */
  forgotten({ pages, sums }: FlushSnapshot): void {
    for (const [block, { version }] of pages) {
      const page = this.#pages.get(block)
      if (page?.version === version) page.dirty = false
    }
    for (const segment of sums.keys()) this.#sums.get(segment)!.dirty = false
  }

  /** Pages that are clean may be dropped and read anew at any time. */
  evict(): void {
    for (const page of this.#pages.values()) if (!page.dirty) page.cache = page.disk
    for (const page of this.#sums.values()) if (!page.dirty) page.cache.set(page.disk)
  }

  /** Each unsynced page is there, or not, or in part. False: the stamp page does not hold any more. */
  losePower(random: Random): { stampsHold: boolean; torn: number; lost: number } {
    let torn = 0
    let lost = 0
    for (const [block, page] of this.#pages) {
      if (!page.dirty) {
        page.cache = page.disk
        continue
      }
      page.dirty = false
      const fate = random.weighted([50, 35, 15])
      if (fate === 1) page.disk = page.cache
      else if (fate === 2) page.disk = tornPage(page, random)
      if (fate === 0) lost++
      if (fate === 2) torn++
      page.cache = page.disk
      if (page.disk === ZERO_BLOCK) this.#pages.delete(block)
    }
    for (const page of this.#sums.values()) page.losePower(random.chance(0.4))
    this.journal.losePower(random)
    const stampsTorn = this.#stamps.dirty && random.chance(0.15)
    this.#stamps.losePower(random.chance(0.4))
    return { stampsHold: !stampsTorn, torn, lost }
  }

  /** A bit flips on the platter and, the page having been read since, in the cache. */
  rot(block: number, bit: number): boolean {
    const page = this.#pages.get(block)
    if (page === undefined || page.dirty) return false
    const data = Buffer.from(page.disk)
    data[bit >> 3]! ^= 1 << (bit & 7)
    this.#rotten.set(block, { rotten: data, whole: page.disk })
    page.disk = data
    page.cache = data
    return true
  }

  /** Takes back what rotted in segments in which writes may be torn: how many blocks. */
  mendWhatMayBeTorn(): number {
    let mended = 0
    for (const [block, { rotten, whole }] of this.#rotten) {
      const page = this.#pages.get(block)
      if (page?.cache !== rotten || page.disk !== rotten) {
        this.#rotten.delete(block)
      } else if (
        this.active.has(Math.floor(block / BLOCKS_PER_SEGMENT)) &&
        entryOf(whole) === this.entry(block)
      ) {
        page.cache = whole
        page.disk = whole
        this.#rotten.delete(block)
        mended++
      }
    }
    return mended
  }

  /** Every slot of these regions is given back, durably: what belongs to them is not there after a loss of power either. */
  free(fromRegion: number, toRegion: number): void {
    for (let region = fromRegion; region < toRegion; region++) {
      this.allocated.delete(region)
      this.#stamps.free(region)
    }
    this.journal.forget(fromRegion * REGION_BYTES, toRegion * REGION_BYTES)
    const fromBlock = fromRegion * BLOCKS_PER_REGION
    const toBlock = toRegion * BLOCKS_PER_REGION
    for (const block of [...this.#pages.keys()]) {
      if (block >= fromBlock && block < toBlock) {
        this.#pages.delete(block)
        this.#sums.get(Math.floor(block / BLOCKS_PER_SEGMENT))?.free(block % BLOCKS_PER_SEGMENT)
      }
    }
    for (const segment of [...this.active]) {
      if (segment * REGIONS_PER_SEGMENT >= fromRegion && segment * REGIONS_PER_SEGMENT < toRegion)
        this.active.delete(segment)
    }
  }
}

function tornPage(page: Page, random: Random): Buffer {
  const mixed = Buffer.from(page.disk)
  for (let at = 0; at < BLOCK_BYTES; at += SECTOR_BYTES) {
    if (random.chance(0.5)) page.cache.copy(mixed, at, at, at + SECTOR_BYTES)
  }
  return mixed
}
