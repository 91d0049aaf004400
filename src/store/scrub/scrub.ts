import { setImmediate } from 'node:timers/promises'
import { TokenBucket } from '../../lib/token-bucket.ts'
import type { ScrubProgress } from '../brick.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_REGION,
  FIRST_PRESENT,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  SEGMENT_BYTES,
  SEGMENTS_PER_SLOT,
} from '../layout.ts'
import { SCRUB_READ_BYTES_MAX } from './scrub-read.ts'
import type { ScrubReader } from './scrub-reader.ts'

/** Without a limit of its own a scrub leaves most of any disk to the clients. */
export const SCRUB_BYTES_PER_SECOND_DEFAULT = 64 * 1024 * 1024

/** A block is bad when it differs this many times from a checksum that stood still meanwhile. */
const LOOKS_BEFORE_BAD = 3
/** A block that is written between all of these looks is alive: the next pass has its turn. */
const LOOKS_MAX = 20
/** Longer than a write on a thread is between its data and its checksum. */
const PAUSE_BETWEEN_LOOKS_MS = 50

/** About a millisecond's worth. */
const SLOTS_COUNTED_AT_ONCE = 64

/** What the scrubber needs to know of a brick. Segments are 4 MiB, numbered within their slot. */
export interface ScrubSource {
  /** Slots that hold an extent now. */
  slots(): readonly number[]
  isRegionAllocated(slot: number, region: number): boolean
  locate(slot: number): { readonly path: string; readonly offsetBytes: number }
  /** The checksum entries of a segment as they are now, or null when they cannot be read. */
  entries(slot: number, segment: number): Promise<Uint32Array | null>
  /** Active when the brick was opened after an unclean stop and not read through since. */
  isInDoubt(slot: number, segment: number): boolean
  /** The block stands as it is: recompute its checksum from the data. Block counted within the segment. */
  settle(slot: number, segment: number, block: number): Promise<void>
  /** Every allocated block of a segment in doubt has been read. */
  doubtEnds(slot: number, segment: number): void
  foundBad(slot: number, segment: number, block: number): void
}

export interface ScrubClock {
  nowMs(): number
  /** Resolves early, never late, when the scrub is stopped. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** One pass over everything allocated: reads it from the disk, compares checksums, settles what is in doubt. */
export class Scrub {
  #source: ScrubSource
  #reader: ScrubReader
  #clock: ScrubClock
  #bucket: TokenBucket
  #stop = new AbortController()
  #checkedBytes = 0
  #totalBytes = 0
  #badBlocks = 0
  #settledBlocks = 0
  #startedAtMs: number
  #endedAtMs: number | null = null

  constructor(source: ScrubSource, reader: ScrubReader, clock: ScrubClock, bytesPerSecond: number) {
    this.#source = source
    this.#reader = reader
    this.#clock = clock
    this.#startedAtMs = clock.nowMs()
    this.#bucket = new TokenBucket(bytesPerSecond, SCRUB_READ_BYTES_MAX, this.#startedAtMs)
  }

  get progress(): ScrubProgress {
    return {
      checkedBytes: this.#checkedBytes,
      totalBytes: Math.max(this.#totalBytes, this.#checkedBytes),
      badBlocks: this.#badBlocks,
      settledBlocks: this.#settledBlocks,
      startedAtMs: this.#startedAtMs,
      endedAtMs: this.#endedAtMs,
    }
  }

  /** Resolves when everything was read or stop() was called. Slots allocated meanwhile wait for the next pass. */
  async run(): Promise<void> {
    try {
      const slots = this.#source.slots()
      await this.#count(slots)
      for (const slot of slots) {
        for (let segment = 0; segment < SEGMENTS_PER_SLOT && !this.#isStopped; segment++) {
          await this.#checkSegment(slot, segment)
        }
      }
    } finally {
      this.#endedAtMs = this.#clock.nowMs()
      await this.#reader.close()
    }
  }

  stop(): void {
    this.#stop.abort()
  }

  get #isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  /** A few slots at a time: a brick may have a quarter of a million, and clients wait meanwhile. */
  async #count(slots: readonly number[]): Promise<void> {
    for (let from = 0; from < slots.length && !this.#isStopped; from += SLOTS_COUNTED_AT_ONCE) {
      for (const slot of slots.slice(from, from + SLOTS_COUNTED_AT_ONCE)) {
        for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
          this.#totalBytes += this.#allocatedRegions(slot, segment).length * REGION_BYTES
        }
      }
      await setImmediate()
    }
  }

  #allocatedRegions(slot: number, segment: number): number[] {
    const first = segment * REGIONS_PER_SEGMENT
    return Array.from({ length: REGIONS_PER_SEGMENT }, (_, region) => region).filter(region =>
      this.#source.isRegionAllocated(slot, first + region),
    )
  }

  async #checkSegment(slot: number, segment: number): Promise<void> {
    const wasInDoubt = this.#source.isInDoubt(slot, segment)
    const regions = this.#allocatedRegions(slot, segment)
    for (let from = 0; from < regions.length; ) {
      let to = from + 1
      while (to < regions.length && regions[to] === regions[to - 1]! + 1) to++
      const count = Math.min(to - from, SCRUB_READ_BYTES_MAX / REGION_BYTES)
      await this.#checkBlocks(slot, segment, regions[from]! * BLOCKS_PER_REGION, count * BLOCKS_PER_REGION)
      if (this.#isStopped) return
      this.#checkedBytes += count * REGION_BYTES
      from += count
    }
    if (wasInDoubt) this.#source.doubtEnds(slot, segment)
  }

  async #checkBlocks(slot: number, segment: number, first: number, count: number): Promise<void> {
    const waitMs = this.#bucket.take(count * BLOCK_BYTES, this.#clock.nowMs())
    if (waitMs > 0) await this.#clock.sleep(waitMs, this.#stop.signal)
    if (this.#isStopped) return
    const onDisk = await this.#read(slot, segment, first, count)
    const entries = await this.#source.entries(slot, segment)
    if (entries === null) return
    const suspects: number[] = []
    for (let index = 0; index < count; index++) {
      const entry = entries[first + index]!
      if (entry >= FIRST_PRESENT && onDisk?.[index] !== entry) suspects.push(first + index)
    }
    for (const block of suspects) await this.#lookAgain(slot, segment, block)
  }

  // A write may have raced the read: what counts is a difference from a checksum that stands still.
  async #lookAgain(slot: number, segment: number, block: number): Promise<void> {
    let differed = 0
    let isReadable = true
    for (let looks = 0; differed < LOOKS_BEFORE_BAD; looks++) {
      if (looks === LOOKS_MAX || this.#isStopped) return
      const before = (await this.#source.entries(slot, segment))?.[block]
      const onDisk = await this.#read(slot, segment, block, 1)
      const after = (await this.#source.entries(slot, segment))?.[block]
      if (after === undefined || after < FIRST_PRESENT || onDisk?.[0] === after) return
      differed = before === after ? differed + 1 : 0
      isReadable = onDisk !== null
      await this.#clock.sleep(PAUSE_BETWEEN_LOOKS_MS, this.#stop.signal)
    }
    if (isReadable && this.#source.isInDoubt(slot, segment)) {
      await this.#source.settle(slot, segment, block)
      this.#settledBlocks++
    } else {
      this.#badBlocks++
      this.#source.foundBad(slot, segment, block)
    }
  }

  /** Null when the disk gives an error: then each block is tried alone. */
  async #read(slot: number, segment: number, first: number, count: number): Promise<Uint32Array | null> {
    const { path, offsetBytes } = this.#source.locate(slot)
    try {
      return await this.#reader.read({
        path,
        offsetBytes: offsetBytes + segment * SEGMENT_BYTES + first * BLOCK_BYTES,
        lengthBytes: count * BLOCK_BYTES,
      })
    } catch {
      return null
    }
  }
}
