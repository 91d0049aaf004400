import { BlockStatus } from '../block/block-status.ts'
import { Errno } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import type { BrickParts } from './brick-parts.ts'
import { BLOCK_BYTES, BLOCKS_PER_SEGMENT, bankOf, FIRST_PRESENT, indexOf, slotDataAt } from './layout.ts'
import { segmentSlices, startOf } from './slices.ts'
import { endOfRun, type SlotIo } from './slot-io.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

export interface WaitedRead {
  readonly status: BlockStatus
  /** Offset in the volume, with mediumError. */
  readonly failedAtBytes: number
}

const DONE: WaitedRead = { status: BlockStatus.ok, failedAtBytes: 0 }

/** Reads on threads what is not in the page cache. */
export class WaitingRead {
  readonly #parts: BrickParts
  readonly #io: SlotIo

  constructor(parts: BrickParts, io: SlotIo) {
    this.#parts = parts
    this.#io = io
  }

  async read(
    map: VolumeMap,
    offsetBytes: number,
    lengthBytes: number,
    into: Buffer,
    at: number,
  ): Promise<WaitedRead> {
    let target = at
    for (const slice of segmentSlices(offsetBytes, lengthBytes)) {
      const { extent, fromBytes, toBytes } = slice
      const slot = map.slots[extent]!
      const bad = await this.readPart(slot, fromBytes / BLOCK_BYTES, toBytes / BLOCK_BYTES, into, target)
      if (this.#parts.failure.error !== null) return { status: BlockStatus.ioError, failedAtBytes: 0 }
      if (bad >= 0) {
        const failedAtBytes = startOf({ ...slice, fromBytes: bad * BLOCK_BYTES })
        return { status: BlockStatus.mediumError, failedAtBytes }
      }
      target += toBytes - fromBytes
    }
    return DONE
  }

  /** Blocks [first, end) of a slot, all in one segment: the first bad one, or -1. */
  async readPart(slot: number, first: number, end: number, into: Buffer, at: number): Promise<number> {
    const { banks, checksums } = this.#parts
    const segment = Math.floor(first / BLOCKS_PER_SEGMENT)
    const bytes = (end - first) * BLOCK_BYTES
    if (slot === NO_SLOT || !banks[bankOf(slot)]!.segmentIsAllocated(indexOf(slot), segment)) {
      into.fill(0, at, at + bytes)
      return -1
    }
    for (let block = first; block < end; ) {
      const page = checksums.peek(slot, segment)
      if (page === undefined) {
        if ((await checksums.load(slot, segment)) < 0) return block
        continue
      }
      const stop = endOfRun(page.words, block % BLOCKS_PER_SEGMENT, end - segment * BLOCKS_PER_SEGMENT)
      const runEnd = segment * BLOCKS_PER_SEGMENT + stop
      const target = at + (block - first) * BLOCK_BYTES
      const bad =
        page.words[block % BLOCKS_PER_SEGMENT]! < FIRST_PRESENT
          ? zeroFill(into, target, runEnd - block)
          : await this.#readRun(slot, block, runEnd, into, target)
      if (bad >= 0) return bad
      block = runEnd
    }
    return -1
  }

  async #readRun(slot: number, first: number, end: number, into: Buffer, at: number): Promise<number> {
    const { banks, checksums, files } = this.#parts
    const bank = banks[bankOf(slot)]!
    const segment = Math.floor(first / BLOCKS_PER_SEGMENT)
    const bytes = (end - first) * BLOCK_BYTES
    const offset = slotDataAt(indexOf(slot)) + first * BLOCK_BYTES
    const result = await new Promise<number>(resolve => {
      files.read(bank.dataFd, into, at, bytes, offset, resolve)
    })
    if (result < 0 && result !== -Errno.EIO) {
      this.#parts.failure.set(`reading ${bank.dataPath}`, result)
      return first
    }
    if (result < bytes) into.fill(0, at + Math.max(0, result), at + bytes)
    const readable = result === -Errno.EIO ? await this.#readSingly(bank, first, end, into, at, offset) : end
    let page = checksums.peek(slot, segment)
    while (page === undefined) {
      if ((await checksums.load(slot, segment)) < 0) return first
      page = checksums.peek(slot, segment)
    }
    const bad = this.#io.judge.firstBad(bank, slot, page, first, readable, into, at)
    if (bad >= 0 || readable === end) return bad
    this.#parts.counters.checksumErrors++
    return readable
  }

  /**
   * Of a run in which the disk failed only the bad blocks fail. They are read on a thread as well, since a disk may try
   * for seconds. Answers the first block that cannot be read, or `end`.
   */
  async #readSingly(
    bank: Bank,
    first: number,
    end: number,
    into: Buffer,
    at: number,
    offset: number,
  ): Promise<number> {
    for (let block = first; block < end; block++) {
      const skipped = (block - first) * BLOCK_BYTES
      const result = await new Promise<number>(resolve => {
        this.#parts.files.read(bank.dataFd, into, at + skipped, BLOCK_BYTES, offset + skipped, resolve)
      })
      if (result < 0) return block
    }
    return end
  }
}

function zeroFill(into: Buffer, at: number, blocks: number): number {
  into.fill(0, at, at + blocks * BLOCK_BYTES)
  return -1
}
