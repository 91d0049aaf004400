import { Errno } from '../lib/system-calls.ts'
import type { BrickParts } from './brick-parts.ts'
import { LIVE_LAYER, type SlotOwner } from './catalogue.ts'
import { endDoubtOfSlot } from './doubt.ts'
import type { FileTask, FileThread } from './files/file-task.ts'
import {
  ALL_SEGMENTS,
  bankOf,
  CHECKSUM_BYTES_PER_SLOT,
  indexOf,
  REGION_BYTES,
  SEGMENT_BYTES,
  SLOT_BYTES,
  slotChecksumsAt,
  slotDataAt,
} from './layout.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

/** Slots freed in one transaction and one sync. */
const SLOTS_AT_ONCE = 64
const NO_PUNCH: readonly number[] = [-Errno.EOPNOTSUPP, -Errno.ENOSYS]
const NO_CHECKSUMS = Buffer.alloc(CHECKSUM_BYTES_PER_SLOT)
const ZEROES = Buffer.alloc(SEGMENT_BYTES)

/** Gives slots back so that nothing of what was in them can be read again, wherever a crash comes. */
export class VolumeDeletion {
  readonly #parts: BrickParts
  readonly #thread: FileThread
  #stopped = false

  constructor(parts: BrickParts, thread: FileThread) {
    this.#parts = parts
    this.#thread = thread
  }

  /** Ends after the slots at hand; the next open goes on. */
  stop(): void {
    this.#stopped = true
  }

  /** Frees every slot of a volume that is marked as being deleted. True when that, and it, is done. */
  async run(map: VolumeMap, progress?: (freedBytes: number) => void): Promise<boolean> {
    if (!(await this.free(map, () => true, progress))) return false
    await this.#parts.catalogue.removeVolume(map.uuid)
    return true
  }

  /**
   * Frees the slots of some extents: durably nobody's first, emptied when nothing that was under way in the volume
   * can touch them any more, usable last. False when it was stopped before the end. One at a time per volume: a slot
   * that two of them freed would come to be of two extents.
   */
  async free(
    map: VolumeMap,
    isFreed: (extent: number) => boolean,
    progress?: (freedBytes: number) => void,
  ): Promise<boolean> {
    const freed = map.freeing.then(() => this.#free(map, isFreed, progress))
    map.freeing = freed.catch(() => {})
    return freed
  }

  async #free(
    map: VolumeMap,
    isFreed: (extent: number) => boolean,
    progress: ((freedBytes: number) => void) | undefined,
  ): Promise<boolean> {
    const { catalogue, capacity, banks, durability } = this.#parts
    await Promise.allSettled(map.allocating.values())
    const owners: SlotOwner[] = []
    for (const [extent, slot] of map.slots.entries()) {
      if (slot === NO_SLOT || !isFreed(extent)) continue
      owners.push({ volume: map.uuid, layer: LIVE_LAYER, extent, slot })
    }
    let freedBytes = 0
    for (let from = 0; from < owners.length; from += SLOTS_AT_ONCE) {
      if (this.#stopped) return false
      const batch = owners.slice(from, from + SLOTS_AT_ONCE)
      const slots = batch.map(({ slot }) => slot)
      await catalogue.freeSlots(batch)
      for (const { extent } of batch) map.slots[extent] = NO_SLOT
      for (const slot of slots) map.unknownStamps.delete(slot)
      await map.inFlight.begunHaveEnded()
      let regions = 0
      for (const slot of slots) regions += banks[bankOf(slot)]!.allocatedRegions(indexOf(slot))
      await this.clean(slots)
      capacity.release(regions)
      map.usedRegions -= regions
      freedBytes += regions * REGION_BYTES
      progress?.(freedBytes)
    }
    // Else a replay would find their records, and perhaps another volume, or the same one again, under its name.
    await durability.flush()
    return true
  }

  /** Empties slots that are durably nobody's, and only then lets them be used again. */
  async clean(slots: readonly number[]): Promise<void> {
    const { activity, allocator, banks, catalogue, checksums, dirty, stamps } = this.#parts
    const fds = new Set<number>()
    for (const slot of slots) {
      const bank = banks[bankOf(slot)]!
      const index = indexOf(slot)
      await this.#empty(bank.dataFd, slotDataAt(index))
      await this.#do({
        writes: [{ fd: bank.checksumFd, bytes: NO_CHECKSUMS, offsetBytes: slotChecksumsAt(index) }],
      })
      const loaded = await stamps.load(bank, index)
      endDoubtOfSlot(this.#parts, slot)
      bank.forgetSlot(index)
      const reset = loaded < 0 ? loaded : stamps.reset(bank, index)
      if (reset < 0) throw this.#parts.failure.set('writing stamps', reset)
      checksums.forgetSlot(slot)
      dirty.forget(slot)
      activity.deactivate(slot, ALL_SEGMENTS)
      for (const fd of [bank.dataFd, bank.checksumFd, bank.stampFd]) fds.add(fd)
    }
    this.#parts.writeback.written(0)
    await this.#do({ sync: [...fds] })
    await activity.flush()
    await catalogue.forgetFreed(slots)
    for (const slot of slots) allocator.give(slot)
  }

  async #empty(fd: number, slotAt: number): Promise<void> {
    const punched = await this.#do(
      { punch: [{ fd, offsetBytes: slotAt, lengthBytes: SLOT_BYTES }] },
      NO_PUNCH,
    )
    if (punched >= 0) return
    for (let at = 0; at < SLOT_BYTES; at += SEGMENT_BYTES) {
      await this.#do({ writes: [{ fd, bytes: ZEROES, offsetBytes: slotAt + at }] })
    }
  }

  /** 0, or an errno that is one of `except`. */
  async #do(task: FileTask, except: readonly number[] = []): Promise<number> {
    let result: number
    try {
      result = await this.#thread.run(task)
    } catch (error) {
      throw this.#parts.failure.set('freeing slots', error)
    }
    if (result < 0 && !except.includes(result)) throw this.#parts.failure.set('freeing slots', result)
    return result
  }
}
