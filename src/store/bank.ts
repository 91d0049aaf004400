import path from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { errnoName } from '../lib/system-calls.ts'
import { bitCount } from './bit-count.ts'
import { checkFileHeader, encodeFileHeader, FileKind } from './file-header.ts'
import type { StoreFiles } from './files/store-files.ts'
import {
  CHECKSUM_BYTES_PER_SLOT,
  PAGE_BYTES,
  REGIONS_PER_SLOT,
  SEGMENTS_PER_SLOT,
  SLOTS_PER_BANK,
  SLOTS_PER_STAMP_PAGE,
  slotChecksumsAt,
  slotDataAt,
  stampPageAt,
} from './layout.ts'
import { syncDirectory } from './superblock.ts'

const WORDS_PER_SLOT = REGIONS_PER_SLOT / 32

interface BankFds {
  readonly data: number
  readonly checksums: number
  readonly stamps: number
}

/**
 * One data file of up to 1 TiB with its checksum and stamp files, and what is known in memory of each of its
 * slots. A *ready* region has space, an active segment and the current stamp: a write needs nothing but the
 * write. Readiness is only ever a shortcut: wiping it costs the next write a look at everything.
 */
export class Bank {
  readonly number: number
  readonly dataPath: string
  readonly dataFd: number
  readonly checksumFd: number
  readonly stampFd: number
  /** Bits by region. */
  readonly ready = new Uint32Array(SLOTS_PER_BANK * WORDS_PER_SLOT)
  readonly allocated = new Uint32Array(SLOTS_PER_BANK * WORDS_PER_SLOT)
  /** Bits by segment: active at open after an unclean stop, and neither read through nor reconciled since. */
  readonly doubt = new Uint16Array(SLOTS_PER_BANK)
  /** Bits by segment: may lack what was written before the machine or the disk failed. */
  readonly suspect = new Uint16Array(SLOTS_PER_BANK)
  /** By slot, 1: blocks in doubt stand as they are, since nobody else is there to ask. */
  readonly stands = new Uint8Array(SLOTS_PER_BANK)
  /** Bits by segment: a clear has begun and no write has come since. */
  readonly clearing = new Uint16Array(SLOTS_PER_BANK)
  /** By segment, the brick's clock. */
  readonly lastWriteMs = new Float64Array(SLOTS_PER_BANK * SEGMENTS_PER_SLOT)
  /** Written since the last sync began; true at open, because a process before may have written. */
  dataTouched = true
  /** A checksum entry became present or absent: that must be durable with the data it speaks of. */
  presenceChanged = true
  checksumsChanged = true
  stampsChanged = true
  /** A stamp was raised in a clean segment, which no recovery would look at: the next flush takes it along. */
  stampsOwed = false
  readonly #files: StoreFiles

  constructor(files: StoreFiles, number: number, dataPath: string, fds: BankFds) {
    this.#files = files
    this.number = number
    this.dataPath = dataPath
    this.dataFd = fds.data
    this.checksumFd = fds.checksums
    this.stampFd = fds.stamps
  }

  isReady(index: number, firstRegion: number, lastRegion: number): boolean {
    return allSet(this.ready, index, firstRegion, lastRegion)
  }

  isAllocated(index: number, region: number): boolean {
    return allSet(this.allocated, index, region, region)
  }

  markReady(index: number, region: number): void {
    this.ready[index * WORDS_PER_SLOT + (region >>> 5)]! |= 1 << (region & 31)
  }

  setAllocated(index: number, region: number, allocated: boolean): void {
    const at = index * WORDS_PER_SLOT + (region >>> 5)
    const bit = 1 << (region & 31)
    if (allocated) {
      this.allocated[at]! |= bit
    } else {
      this.allocated[at]! &= ~bit
      this.ready[at]! &= ~bit
    }
  }

  allocatedRegions(index: number): number {
    let count = 0
    for (let at = index * WORDS_PER_SLOT; at < (index + 1) * WORDS_PER_SLOT; at++) {
      count += bitCount(this.allocated[at]!)
    }
    return count
  }

  forgetReady(index: number): void {
    this.ready.fill(0, index * WORDS_PER_SLOT, (index + 1) * WORDS_PER_SLOT)
  }

  /** A segment has 16 regions, half a word. */
  forgetReadySegment(index: number, segment: number): void {
    this.ready[index * WORDS_PER_SLOT + (segment >>> 1)]! &= segment & 1 ? 0x0000ffff : 0xffff0000
  }

  segmentIsAllocated(index: number, segment: number): boolean {
    const word = this.allocated[index * WORDS_PER_SLOT + (segment >>> 1)]!
    return (segment & 1 ? word >>> 16 : word & 0xffff) !== 0
  }

  forgetSlot(index: number): void {
    this.forgetReady(index)
    this.allocated.fill(0, index * WORDS_PER_SLOT, (index + 1) * WORDS_PER_SLOT)
    this.doubt[index] = 0
    this.suspect[index] = 0
    this.clearing[index] = 0
  }

  /** Space for a slot's checksums and stamps, so that writing those never runs out of it. 0 or an errno. */
  prepareSlot(index: number): number {
    const { dataFd, checksumFd, stampFd } = this
    const extended = this.#files.extend(dataFd, slotDataAt(index + 1))
    if (extended < 0) return extended
    const checksums = this.#files.fallocate(checksumFd, 0, slotChecksumsAt(index), CHECKSUM_BYTES_PER_SLOT)
    if (checksums < 0) return checksums
    const stampPage = Math.floor(index / SLOTS_PER_STAMP_PAGE)
    return this.#files.fallocate(stampFd, 0, stampPageAt(stampPage), PAGE_BYTES)
  }

  close(): void {
    for (const fd of [this.dataFd, this.checksumFd, this.stampFd]) this.#files.close(fd)
  }
}

/**
 * Opens a bank's three files; makes them if `create`. Throws ERR_BRICK_DAMAGED or ERR_BRICK_FORMAT; leaves nothing
 * open then, and what was made is used by the next attempt.
 */
export function openBank(
  files: StoreFiles,
  brick: { directory: string; uuid: string },
  number: number,
  create: boolean,
): Bank {
  const pathOf = (name: string) => path.join(brick.directory, `${name}-${String(number).padStart(4, '0')}`)
  const opened: number[] = []
  const open = (name: string, kind: FileKind) => {
    const fd = openHeadedFile(files, pathOf(name), { kind, brickUuid: brick.uuid, number }, create)
    opened.push(fd)
    return fd
  }
  try {
    const bank = new Bank(files, number, pathOf('data'), {
      data: open('data', FileKind.data),
      checksums: open('checksums', FileKind.checksums),
      stamps: open('stamps', FileKind.stamps),
    })
    if (create) syncDirectory(brick.directory)
    return bank
  } catch (error) {
    for (const fd of opened) files.close(fd)
    throw error
  }
}

/**
 * Opens a file that begins with a header page; if `create`, makes it, with a durable header. An error of making it has
 * the negative `errno`.
 */
export function openHeadedFile(
  files: StoreFiles,
  filePath: string,
  header: { kind: FileKind; brickUuid: string; number: number },
  create: boolean,
): number {
  const fd = openOrSay(files, filePath, create)
  const page = Buffer.alloc(PAGE_BYTES)
  files.pread(fd, page, 0, PAGE_BYTES, 0)
  try {
    // A power cut while the file was made may have kept its size alone.
    if (create && page.every(byte => byte === 0)) makeHeader(files, fd, filePath, header)
    else checkFileHeader(page, { ...header, path: filePath })
    return fd
  } catch (error) {
    files.close(fd)
    throw error
  }
}

function makeHeader(
  files: StoreFiles,
  fd: number,
  filePath: string,
  { kind, brickUuid, number }: { kind: FileKind; brickUuid: string; number: number },
): void {
  const written = files.pwrite(fd, encodeFileHeader(kind, brickUuid, number), 0, PAGE_BYTES, 0)
  const errno = written < 0 ? written : files.fdatasync(fd)
  if (errno >= 0) return
  const error = new HoldfastError('ERR_BRICK_DAMAGED', `${filePath} cannot be made: ${errnoName(errno)}`)
  throw Object.assign(error, { errno })
}

function openOrSay(files: StoreFiles, filePath: string, create: boolean): number {
  try {
    return files.open(filePath, create)
  } catch (error) {
    if (create) throw error
    throw new HoldfastError('ERR_BRICK_DAMAGED', `${filePath} cannot be opened`, { cause: error })
  }
}

function allSet(bits: Uint32Array, index: number, first: number, last: number): boolean {
  const base = index * WORDS_PER_SLOT
  for (let region = first; region <= last; region++) {
    if ((bits[base + (region >>> 5)]! & (1 << (region & 31))) === 0) return false
  }
  return true
}
