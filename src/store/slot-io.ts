import { BlockStatus } from '../block/block-status.ts'
import { crc32c } from '../lib/crc32c.ts'
import { Errno } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import { BlockJudge } from './block-judge.ts'
import type { BrickParts } from './brick-parts.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  BLOCKS_PER_SLOT,
  bankOf,
  entryOf,
  FIRST_PRESENT,
  indexOf,
  SEGMENTS_PER_SLOT,
  slotDataAt,
} from './layout.ts'
import type { CachedPage } from './page-cache.ts'

/**
 * Data written in one call where the page cache has not all of it yet: it makes one folio of what a call brings, and a
 * 4 KiB write into a folio of 1 MiB costs ext4 ten times as much as into a small one. What it has keeps its folios.
 */
const FRESH_WRITE_BYTES_MAX = 32 * 1024

/** Reads and writes of blocks within one slot, in place: the hot path. Blocks are counted within the slot. */
export class SlotIo {
  /** Of the last call that answered mediumError. */
  failedBlock = 0
  readonly judge: BlockJudge
  readonly #parts: BrickParts
  readonly #entries = new Uint32Array(BLOCKS_PER_SLOT)
  // tmpfs, for one, does not know reads that refuse to wait; its reads never wait anyway.
  #canRefuseToWait = true

  constructor(parts: BrickParts) {
    this.#parts = parts
    this.judge = new BlockJudge(parts)
  }

  readNow(slot: number, firstBlock: number, count: number, into: Buffer, at: number): BlockStatus {
    const bank = this.#parts.banks[bankOf(slot)]!
    const index = indexOf(slot)
    const end = firstBlock + count
    let target = at
    for (let block = firstBlock; block < end; ) {
      const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
      const stop = Math.min(end, (segment + 1) * BLOCKS_PER_SEGMENT)
      if (bank.segmentIsAllocated(index, segment)) {
        const page = this.#parts.checksums.peek(slot, segment)
        if (page === undefined) return BlockStatus.wouldBlock
        const status = this.#readSegment(bank, slot, page, block, stop, into, target)
        if (status !== BlockStatus.ok) return status
      } else {
        into.fill(0, target, target + (stop - block) * BLOCK_BYTES)
      }
      target += (stop - block) * BLOCK_BYTES
      block = stop
    }
    return BlockStatus.ok
  }

  #readSegment(
    bank: Bank,
    slot: number,
    page: CachedPage,
    from: number,
    stop: number,
    into: Buffer,
    at: number,
  ): BlockStatus {
    const segmentStart = from - (from % BLOCKS_PER_SEGMENT)
    for (let block = from; block < stop; ) {
      const runEnd = endOfRun(page.words, block - segmentStart, stop - segmentStart) + segmentStart
      const target = at + (block - from) * BLOCK_BYTES
      const bytes = (runEnd - block) * BLOCK_BYTES
      if (page.words[block - segmentStart]! < FIRST_PRESENT) {
        into.fill(0, target, target + bytes)
      } else {
        const offset = slotDataAt(indexOf(slot)) + block * BLOCK_BYTES
        if (this.#pread(bank.dataFd, into, target, bytes, offset) !== bytes) return BlockStatus.wouldBlock
        const bad = this.judge.firstBad(bank, slot, page, block, runEnd, into, target)
        if (bad >= 0) {
          this.failedBlock = bad
          return BlockStatus.mediumError
        }
      }
      block = runEnd
    }
    return BlockStatus.ok
  }

  #pread(fd: number, into: Buffer, at: number, bytes: number, offset: number): number {
    const { files } = this.#parts
    if (this.#canRefuseToWait) {
      const result = files.preadNow(fd, into, at, bytes, offset)
      if (result !== -Errno.EOPNOTSUPP) return result
      this.#canRefuseToWait = false
    }
    return files.pread(fd, into, at, bytes, offset)
  }

  /** Whether write() needs nothing but the write. */
  canWrite(slot: number, firstBlock: number, count: number): boolean {
    const bank = this.#parts.banks[bankOf(slot)]!
    const last = firstBlock + count - 1
    const firstRegion = Math.floor(firstBlock / BLOCKS_PER_REGION)
    if (!bank.isReady(indexOf(slot), firstRegion, Math.floor(last / BLOCKS_PER_REGION))) return false
    const lastSegment = Math.floor(last / BLOCKS_PER_SEGMENT)
    for (let segment = Math.floor(firstBlock / BLOCKS_PER_SEGMENT); segment <= lastSegment; segment++) {
      if (this.#parts.checksums.peek(slot, segment) === undefined) return false
    }
    return true
  }

  /**
   * Writes data, then checksums, to the page cache. Only when canWrite() says so, in the same turn. CRC32Cs of the
   * blocks that are known already are in `checksums[checksumsAt...]`.
   */
  write(
    slot: number,
    firstBlock: number,
    count: number,
    from: Buffer,
    at: number,
    checksums: Uint32Array | null = null,
    checksumsAt = 0,
  ): BlockStatus {
    const { banks, dirty, clock } = this.#parts
    const bank = banks[bankOf(slot)]!
    const index = indexOf(slot)
    const entries = this.#entries
    for (let i = 0; i < count; i++) {
      const known =
        checksums === null ? crc32c(from, at + i * BLOCK_BYTES, BLOCK_BYTES) : checksums[checksumsAt + i]!
      entries[i] = entryOf(known)
    }
    bank.dataTouched = true
    const offset = slotDataAt(index) + firstBlock * BLOCK_BYTES
    const result = this.#pwrite(bank.dataFd, from, at, count * BLOCK_BYTES, offset)
    if (result < 0) return this.#writeFailed(bank, slot, firstBlock, count, result)
    dirty.mark(slot, firstBlock, count)
    const nowMs = clock()
    for (let done = 0; done < count; ) {
      const block = firstBlock + done
      const segment = Math.floor(block / BLOCKS_PER_SEGMENT)
      const length = Math.min(count - done, (segment + 1) * BLOCKS_PER_SEGMENT - block)
      const page = this.#parts.checksums.peek(slot, segment)!
      const first = block - segment * BLOCKS_PER_SEGMENT
      const set = this.#parts.checksums.set(bank, index, segment, page, first, length, entries, done)
      if (set < 0) return this.#failed('writing checksums', set)
      bank.lastWriteMs[index * SEGMENTS_PER_SLOT + segment] = nowMs
      done += length
    }
    return BlockStatus.ok
  }

  #pwrite(fd: number, from: Buffer, at: number, bytes: number, offset: number): number {
    const { files } = this.#parts
    const isCached = bytes > FRESH_WRITE_BYTES_MAX && files.isCached(fd, offset, bytes)
    const most = isCached ? bytes : FRESH_WRITE_BYTES_MAX
    for (let done = 0; done < bytes; done += most) {
      const length = Math.min(most, bytes - done)
      const result = files.pwrite(fd, from, at + done, length, offset + done)
      if (result < 0) return result
    }
    return bytes
  }

  /** A part may have been written: the checksums follow what the blocks hold now, so that none is accused. */
  #writeFailed(bank: Bank, slot: number, firstBlock: number, count: number, errno: number): BlockStatus {
    if (errno !== -Errno.ENOSPC && errno !== -Errno.EDQUOT) {
      return this.#failed(`writing to ${bank.dataPath}`, errno)
    }
    for (let block = firstBlock; block < firstBlock + count; block++) {
      const page = this.#parts.checksums.peek(slot, Math.floor(block / BLOCKS_PER_SEGMENT))!
      if (page.words[block % BLOCKS_PER_SEGMENT]! < FIRST_PRESENT) continue
      const settled = this.judge.adopt(bank, slot, block, page)
      if (settled < 0) return this.#failed(`reading ${bank.dataPath} after it was full`, settled)
    }
    return BlockStatus.noSpace
  }

  #failed(what: string, errno: number): BlockStatus {
    this.#parts.failure.set(what, errno)
    return BlockStatus.ioError
  }
}

/** Where the run of present, or of absent, blocks that begins at `from` ends. */
export function endOfRun(entries: Uint32Array, from: number, stop: number): number {
  const present = entries[from]! >= FIRST_PRESENT
  let end = from + 1
  while (end < stop && entries[end]! >= FIRST_PRESENT === present) end++
  return end
}
