import { BlockStatus } from '../block/block-status.ts'
import { Errno, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import type { BrickParts } from './brick-parts.ts'
import { LIVE_LAYER } from './catalogue.ts'
import {
  ALL_SEGMENTS,
  BLOCK_BYTES,
  bankOf,
  indexOf,
  REGION_BYTES,
  SEGMENT_BYTES,
  SEGMENTS_PER_SLOT,
  SLOT_BYTES,
  slotDataAt,
} from './layout.ts'
import { slices } from './slices.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

/** The part of an operation that lies in one slot. `last` is inclusive. */
interface Piece {
  readonly extent: number
  readonly firstRegion: number
  readonly lastRegion: number
  readonly firstSegment: number
  readonly lastSegment: number
  readonly segments: number
}

const OUT_OF_SPACE: readonly number[] = [-Errno.ENOSPC, -Errno.EDQUOT]
/** What a file system answers that cannot reserve space; its writes may then find it full. */
const NO_FALLOCATE: readonly number[] = [-Errno.EOPNOTSUPP, -Errno.ENOSYS]

/**
 * Brings everything that a write in place needs: a slot, durable activity, room under the dirty cap, the
 * pages of checksums and stamps, and reserved space. Several may work on one slot or segment at once.
 */
export class WritePreparation {
  readonly #parts: BrickParts

  constructor(parts: BrickParts) {
    this.#parts = parts
  }

  /**
   * Answers ok when it is worth trying again at once; something may be missing again by then, so the caller
   * loops. noSpace leaves nothing reserved. ioError when the brick, or reading its side files, failed.
   * `copiedStamp`: of a copy, which raises stamps to it and leaves regions unready for what clients write.
   */
  async prepare(
    map: VolumeMap,
    offsetBytes: number,
    lengthBytes: number,
    copiedStamp: number | null = null,
  ): Promise<BlockStatus> {
    const { failure, writeback } = this.#parts
    const pieces = piecesOf(offsetBytes, lengthBytes)
    try {
      for (const piece of pieces) {
        const status = await this.#slotFor(map, piece)
        if (status !== BlockStatus.ok) return status
        await this.#activate(map, piece)
      }
      while (!this.hasRoom(map, offsetBytes, lengthBytes) && failure.error === null) {
        await writeback.roomAfter()
      }
      for (const piece of pieces) if (!(await this.#loadPages(map, piece))) return BlockStatus.ioError
    } catch (error) {
      if (failure.error === null) throw error
    }
    if (failure.error !== null) return BlockStatus.ioError
    return hasSlots(map, pieces) ? this.#makeReady(map, pieces, copiedStamp) : BlockStatus.ok
  }

  /** A slot for every extent of this range, with the segments that it touches active. ok, noSpace or ioError. */
  async giveSlots(map: VolumeMap, offsetBytes: number, lengthBytes: number): Promise<BlockStatus> {
    const { failure } = this.#parts
    try {
      for (const piece of piecesOf(offsetBytes, lengthBytes)) {
        const status = await this.#slotFor(map, piece)
        if (status !== BlockStatus.ok) return status
      }
    } catch (error) {
      if (failure.error === null) throw error
    }
    return failure.error === null ? BlockStatus.ok : BlockStatus.ioError
  }

  /** Whether a write fits under the dirty cap. What is dirty already costs nothing. */
  hasRoom(map: VolumeMap, offsetBytes: number, lengthBytes: number): boolean {
    const { writeback, dirty } = this.#parts
    if (writeback.hasRoom(lengthBytes)) return true
    let freshBytes = 0
    for (const { extent, fromBytes, toBytes } of slices(offsetBytes, lengthBytes)) {
      const slot = map.slots[extent]!
      const count = (toBytes - fromBytes) / BLOCK_BYTES
      freshBytes +=
        slot === NO_SLOT ? toBytes - fromBytes : dirty.cleanBytes(slot, fromBytes / BLOCK_BYTES, count)
    }
    return writeback.hasRoom(freshBytes)
  }

  #slotFor(map: VolumeMap, piece: Piece): Promise<BlockStatus> | BlockStatus {
    const { extent } = piece
    // Of a volume that is being deleted: it would outlive it.
    if (extent * SLOT_BYTES >= map.sizeBytes) return BlockStatus.outOfRange
    if (map.slots[extent] !== NO_SLOT) return BlockStatus.ok
    let allocating = map.allocating.get(extent)
    if (allocating === undefined) {
      allocating = this.#allocate(map, extent, this.#withNextSegments(map, piece)).finally(() =>
        map.allocating.delete(extent),
      )
      map.allocating.set(extent, allocating)
    }
    return allocating
  }

  /** Activation and slot become durable at the same time: either without the other means nothing. */
  async #allocate(map: VolumeMap, extent: number, segments: number): Promise<BlockStatus> {
    const { allocator, activity, banks, catalogue, checksums, clock, failure } = this.#parts
    let slot: number
    try {
      slot = allocator.take()
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException
      if (errno !== undefined && OUT_OF_SPACE.includes(errno)) return BlockStatus.noSpace
      throw failure.set('making a data file', error)
    }
    const bank = banks[bankOf(slot)]!
    const prepared = Math.min(bank.prepareSlot(indexOf(slot)), activity.prepareSlot(slot))
    if (prepared < 0 && !NO_FALLOCATE.includes(prepared)) {
      allocator.give(slot)
      if (OUT_OF_SPACE.includes(prepared)) return BlockStatus.noSpace
      throw failure.set('preparing a slot', prepared)
    }
    try {
      await Promise.all([
        activity.activate(slot, segments),
        catalogue.putSlot({ volume: map.uuid, layer: LIVE_LAYER, extent, slot }),
      ])
    } catch (error) {
      const { code } = error as { code?: unknown }
      if (code !== Errno.ENOSPC || failure.error !== null) throw failure.set('recording a slot', error)
      allocator.give(slot)
      return BlockStatus.noSpace
    }
    for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
      if ((segments >>> segment) & 1) checksums.putZeroes(slot, segment)
    }
    const firstTime = indexOf(slot) * SEGMENTS_PER_SLOT
    bank.lastWriteMs.fill(clock(), firstTime, firstTime + SEGMENTS_PER_SLOT)
    map.slots[extent] = slot
    return BlockStatus.ok
  }

  async #activate(map: VolumeMap, piece: Piece): Promise<void> {
    const { activity, banks, clock } = this.#parts
    const slot = map.slots[piece.extent]!
    if (slot === NO_SLOT) return
    const active = activity.activeIn(slot)
    if ((active & piece.segments) === piece.segments) return
    const segments = this.#withNextSegments(map, piece)
    const nowMs = clock()
    for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
      if (((segments & ~active) >>> segment) & 1) {
        banks[bankOf(slot)]!.lastWriteMs[indexOf(slot) * SEGMENTS_PER_SLOT + segment] = nowMs
      }
    }
    await activity.activate(slot, segments)
  }

  /** A sequential writer, whose previous segment is active, gets the rest of the extent in the same commit. */
  #withNextSegments(map: VolumeMap, piece: Piece): number {
    const { activity } = this.#parts
    const inSameSlot = piece.firstSegment > 0
    const before = inSameSlot ? map.slots[piece.extent]! : (map.slots[piece.extent - 1] ?? NO_SLOT)
    if (before === NO_SLOT) return piece.segments
    const previousSegment = inSameSlot ? piece.firstSegment - 1 : SEGMENTS_PER_SLOT - 1
    const isSequential = ((activity.activeIn(before) >>> previousSegment) & 1) === 1
    return isSequential ? ALL_SEGMENTS & (ALL_SEGMENTS << piece.firstSegment) : piece.segments
  }

  async #loadPages(map: VolumeMap, piece: Piece): Promise<boolean> {
    const { banks, checksums, stamps } = this.#parts
    const slot = map.slots[piece.extent]!
    if (slot === NO_SLOT) return true
    for (let segment = piece.firstSegment; segment <= piece.lastSegment; segment++) {
      if (checksums.peek(slot, segment) === undefined && (await checksums.load(slot, segment)) < 0)
        return false
    }
    const bank = banks[bankOf(slot)]!
    return stamps.has(bank, indexOf(slot)) || (await stamps.load(bank, indexOf(slot))) >= 0
  }

  /** Reserves space for all or none of it, and stamps it, in one turn of the event loop. */
  #makeReady(map: VolumeMap, pieces: readonly Piece[], copiedStamp: number | null): BlockStatus {
    const { activity, banks, stamps, capacity } = this.#parts
    let regions = 0
    for (const piece of pieces) {
      const slot = map.slots[piece.extent]!
      const bank = banks[bankOf(slot)]!
      const isActive = (activity.activeIn(slot) & piece.segments) === piece.segments
      if (!isActive || !stamps.has(bank, indexOf(slot))) return BlockStatus.ok
      regions += this.#missing(bank, indexOf(slot), piece).length
    }
    if (regions > 0 && !capacity.reserve(regions)) return BlockStatus.noSpace
    const reserved = this.#fallocate(map, pieces)
    if (reserved !== BlockStatus.ok) {
      capacity.release(regions)
      return reserved
    }
    map.usedRegions += regions
    return this.#stamp(map, pieces, copiedStamp)
  }

  #missing(bank: Bank, index: number, piece: Piece): number[] {
    const missing: number[] = []
    for (let region = piece.firstRegion; region <= piece.lastRegion; region++) {
      if (!bank.isAllocated(index, region)) missing.push(region)
    }
    return missing
  }

  #fallocate(map: VolumeMap, pieces: readonly Piece[]): BlockStatus {
    const { banks, files, failure } = this.#parts
    const done: { fd: number; at: number; length: number }[] = []
    for (const piece of pieces) {
      const slot = map.slots[piece.extent]!
      const bank = banks[bankOf(slot)]!
      for (const [first, count] of runsOf(this.#missing(bank, indexOf(slot), piece))) {
        const range = {
          fd: bank.dataFd,
          at: slotDataAt(indexOf(slot)) + first * REGION_BYTES,
          length: count * REGION_BYTES,
        }
        const result = files.fallocate(range.fd, FALLOC_KEEP_SIZE, range.at, range.length)
        done.push(range)
        if (result >= 0 || NO_FALLOCATE.includes(result)) continue
        if (!OUT_OF_SPACE.includes(result)) {
          failure.set(`reserving space in ${bank.dataPath}`, result)
          return BlockStatus.ioError
        }
        // These regions hold nothing, so what was reserved before the disk was full goes back.
        for (const { fd, at, length } of done) {
          files.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, at, length)
        }
        return BlockStatus.noSpace
      }
    }
    return BlockStatus.ok
  }

  #stamp(map: VolumeMap, pieces: readonly Piece[], copiedStamp: number | null): BlockStatus {
    const { banks, stamps, failure } = this.#parts
    for (const { extent, firstRegion, lastRegion, segments } of pieces) {
      const slot = map.slots[extent]!
      const bank = banks[bankOf(slot)]!
      const index = indexOf(slot)
      for (let region = firstRegion; region <= lastRegion; region++) bank.setAllocated(index, region, true)
      const result =
        copiedStamp === null
          ? stamps.stamp(bank, index, firstRegion, lastRegion, map.stampFor(slot))
          : Math.min(
              stamps.raise(bank, index, firstRegion, lastRegion, copiedStamp),
              stamps.writeAllocated(bank, index),
            )
      if (result < 0) {
        failure.set('writing stamps', result)
        return BlockStatus.ioError
      }
      if (copiedStamp === null) {
        for (let region = firstRegion; region <= lastRegion; region++) bank.markReady(index, region)
      }
      bank.clearing[index]! &= ~segments
    }
    return BlockStatus.ok
  }
}

/** Somebody may have freed them while something was waited for. */
function hasSlots(map: VolumeMap, pieces: readonly Piece[]): boolean {
  return pieces.every(({ extent }) => map.slots[extent] !== NO_SLOT)
}

function piecesOf(offsetBytes: number, lengthBytes: number): Piece[] {
  return slices(offsetBytes, lengthBytes).map(({ extent, fromBytes, toBytes }) => {
    const firstSegment = Math.floor(fromBytes / SEGMENT_BYTES)
    const lastSegment = Math.floor((toBytes - 1) / SEGMENT_BYTES)
    return {
      extent,
      firstRegion: Math.floor(fromBytes / REGION_BYTES),
      lastRegion: Math.floor((toBytes - 1) / REGION_BYTES),
      firstSegment,
      lastSegment,
      segments: ALL_SEGMENTS & (ALL_SEGMENTS << firstSegment) & (2 ** (lastSegment + 1) - 1),
    }
  })
}

function runsOf(sorted: readonly number[]): [first: number, count: number][] {
  const runs: [number, number][] = []
  for (const value of sorted) {
    const run = runs.at(-1)
    if (run !== undefined && run[0] + run[1] === value) run[1]++
    else runs.push([value, 1])
  }
  return runs
}
