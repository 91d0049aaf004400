import path from 'node:path'
import { crc32c } from '../lib/crc32c.ts'
import { Errno } from '../lib/system-calls.ts'
import { openHeadedFile } from './bank.ts'
import { bitCount } from './bit-count.ts'
import { FileKind } from './file-header.ts'
import type { FileThread } from './files/file-task.ts'
import type { StoreFiles } from './files/store-files.ts'
import { GroupCommit } from './group-commit.ts'
import { ALL_SEGMENTS, PAGE_BYTES } from './layout.ts'
import type { StickyFailure } from './sticky-failure.ts'

const PAGE_HEADER_BYTES = 16
const CRC_FROM_BYTES = 4
export const SLOTS_PER_ACTIVITY_PAGE = (PAGE_BYTES - PAGE_HEADER_BYTES) / 2

/** Segments active at once (8 GiB): a target that bounds recovery, never waited for. PROTOCOL rule 11. */
export const ACTIVE_SEGMENTS_TARGET = 2048
const SLOTS_AT_FIRST = SLOTS_PER_ACTIVITY_PAGE

/** Opens the activity file; if `create`, makes it, durably but for its name. */
export function openActivityFile(
  files: StoreFiles,
  brick: { directory: string; uuid: string },
  create: boolean,
): number {
  const header = { kind: FileKind.activity, brickUuid: brick.uuid, number: 0 }
  return openHeadedFile(files, path.join(brick.directory, 'activity'), header, create)
}

/**
 * Which segments may hold something that is not durable everywhere: 16 bits per slot, on disk before the first
 * write into a clean segment. A write is allowed in what is on disk (`isActive`); setting bits is a group
 * commit, so are cleared ones. PROTOCOL rule 11.
 */
export class ActivityMap {
  readonly #files: StoreFiles
  readonly #thread: FileThread
  readonly #failure: StickyFailure
  readonly #aboveTarget: (activeSegments: number) => void
  readonly #fd: number
  readonly #commits = new GroupCommit(() => this.#commit())
  readonly #changedPages = new Set<number>()
  #wanted = new Uint16Array(SLOTS_AT_FIRST)
  #onDisk = new Uint16Array(SLOTS_AT_FIRST)
  #activeSegments = 0

  constructor(
    files: StoreFiles,
    thread: FileThread,
    failure: StickyFailure,
    brick: { directory: string; uuid: string },
    /** Told after each activation that leaves more segments active than the target. */
    aboveTarget: (activeSegments: number) => void,
  ) {
    this.#files = files
    this.#thread = thread
    this.#failure = failure
    this.#aboveTarget = aboveTarget
    this.#fd = openActivityFile(files, brick, false)
  }

  get activeSegments(): number {
    return this.#activeSegments
  }

  /** As activeSegments where that is above the target, else 0. */
  get beyondTarget(): number {
    return this.#activeSegments > ACTIVE_SEGMENTS_TARGET ? this.#activeSegments : 0
  }

  /** Space for a slot's bits, so that setting them never runs out of it. 0 or a negative errno. */
  prepareSlot(slot: number): number {
    const at = PAGE_BYTES * (Math.floor(slot / SLOTS_PER_ACTIVITY_PAGE) + 1)
    return this.#files.fallocate(this.#fd, 0, at, PAGE_BYTES)
  }

  /** Bits by segment that are on disk and stay there. */
  activeIn(slot: number): number {
    return slot < this.#onDisk.length ? this.#onDisk[slot]! : 0
  }

  /** Reads all pages, at open, for slots below `slots`. A page that fails its checksum is all active. */
  read(slots: number): void {
    this.#makeRoomFor(slots)
    const page = Buffer.alloc(PAGE_BYTES)
    for (let number = 0; number * SLOTS_PER_ACTIVITY_PAGE < slots; number++) {
      const result = this.#files.pread(this.#fd, page, 0, PAGE_BYTES, PAGE_BYTES * (number + 1))
      if (result === 0) continue
      const untouched = result === PAGE_BYTES && page.every(byte => byte === 0)
      const holds = result === PAGE_BYTES && page.readUInt32LE(0) === crc32c(page, CRC_FROM_BYTES)
      if (untouched) continue
      for (let i = 0; i < SLOTS_PER_ACTIVITY_PAGE; i++) {
        const slot = number * SLOTS_PER_ACTIVITY_PAGE + i
        if (slot >= slots) break
        this.#setWanted(slot, holds ? page.readUInt16LE(PAGE_HEADER_BYTES + i * 2) : ALL_SEGMENTS)
        this.#onDisk[slot] = this.#wanted[slot]!
      }
      if (!holds) this.#changedPages.add(number)
    }
  }

  /** Resolves once all segments of `mask` are active on disk. Rejects with the brick's failure. */
  async activate(slot: number, mask: number): Promise<void> {
    this.#makeRoomFor(slot + 1)
    if ((this.#onDisk[slot]! & mask) === mask) return
    this.#setWanted(slot, this.#wanted[slot]! | mask)
    this.#changedPages.add(Math.floor(slot / SLOTS_PER_ACTIVITY_PAGE))
    await this.#commits.commit()
    if (this.beyondTarget > 0) this.#aboveTarget(this.beyondTarget)
  }

  /** Marks segments clean; on disk with the next commit. Whatever they held must be durable. */
  deactivate(slot: number, mask: number): void {
    if (slot >= this.#wanted.length) return
    this.#setWanted(slot, this.#wanted[slot]! & ~mask)
    this.#onDisk[slot]! &= ~mask
    this.#changedPages.add(Math.floor(slot / SLOTS_PER_ACTIVITY_PAGE))
  }

  /** Resolves once all changes are on disk. */
  async flush(): Promise<void> {
    if (this.#changedPages.size > 0) await this.#commits.commit()
  }

  close(): void {
    this.#files.close(this.#fd)
  }

  async #commit(): Promise<void> {
    const numbers = [...this.#changedPages]
    this.#changedPages.clear()
    const writes = numbers.map(number => ({
      fd: this.#fd,
      bytes: this.#encodePage(number),
      offsetBytes: PAGE_BYTES * (number + 1),
    }))
    let result: number = -Errno.EIO
    try {
      result = await this.#thread.run({ writes, sync: [this.#fd] })
    } catch (error) {
      throw this.#failure.set('writing the activity file', error)
    }
    if (result < 0) throw this.#failure.set('writing the activity file', result)
    for (const [i, number] of numbers.entries()) this.#pageIsOnDisk(number, writes[i]!.bytes)
  }

  #encodePage(number: number): Buffer {
    const page = Buffer.alloc(PAGE_BYTES)
    const first = number * SLOTS_PER_ACTIVITY_PAGE
    for (let i = 0; i < SLOTS_PER_ACTIVITY_PAGE; i++) {
      page.writeUInt16LE(this.#wanted[first + i]!, PAGE_HEADER_BYTES + i * 2)
    }
    page.writeUInt32LE(crc32c(page, CRC_FROM_BYTES), 0)
    return page
  }

  // A segment cleared while its page was on the way is active on disk but no longer promised to stay so.
  #pageIsOnDisk(number: number, page: Buffer): void {
    const first = number * SLOTS_PER_ACTIVITY_PAGE
    for (let i = 0; i < SLOTS_PER_ACTIVITY_PAGE; i++) {
      const bits = page.readUInt16LE(PAGE_HEADER_BYTES + i * 2)
      this.#onDisk[first + i] = bits & this.#wanted[first + i]!
    }
  }

  #setWanted(slot: number, bits: number): void {
    this.#activeSegments += bitCount(bits) - bitCount(this.#wanted[slot]!)
    this.#wanted[slot] = bits
  }

  // Always whole pages, at least doubled.
  #makeRoomFor(slots: number): void {
    if (slots <= this.#wanted.length) return
    const pages = Math.ceil(Math.max(slots, this.#wanted.length * 2) / SLOTS_PER_ACTIVITY_PAGE)
    const grow = (from: Uint16Array<ArrayBuffer>) => {
      const grown = new Uint16Array(pages * SLOTS_PER_ACTIVITY_PAGE)
      grown.set(from)
      return grown
    }
    this.#wanted = grow(this.#wanted)
    this.#onDisk = grow(this.#onDisk)
  }
}
