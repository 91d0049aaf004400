import { FALLOC_PUNCH_HOLE } from '../lib/system-calls.ts'
import type { Bank } from './bank.ts'
import { bitCount } from './bit-count.ts'
import type { BrickParts } from './brick-parts.ts'
import { eraseBlocks } from './erase-blocks.ts'
import {
  ALL_SEGMENTS,
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  bankOf,
  FIRST_PRESENT,
  indexOf,
  REGIONS_PER_SEGMENT,
  SEGMENTS_PER_SLOT,
  STAMP_UNKNOWN,
} from './layout.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

/** What the last process left behind. PROTOCOL rules 11 and 15. */
export type LastStop =
  /** Everything was made durable, with its checksums and stamps, before the process ended. */
  | 'clean'
  /** Same boot: everything written is in the page cache or on the disk. */
  | 'warm'
  /** The machine rebooted: what was not flushed may be gone. */
  | 'cold'
  /** A write or an fsync failed: nothing that was ever written can be relied on. */
  | 'failed'

/**
 * At open: which regions of each slot have space, which segments are in doubt or suspect, and stamps that no
 * later clear can make disappear. Answers how many segments are questionable. What it erases is durable after
 * the next flush, which must come before the first write.
 */
export async function recoverSlots(
  parts: BrickParts,
  maps: Iterable<VolumeMap>,
  lastStop: LastStop,
): Promise<number> {
  let questionable = 0
  for (const map of maps) {
    for (const slot of map.slots) {
      if (slot !== NO_SLOT) questionable += await recoverSlot(parts, map, slot, lastStop)
    }
  }
  const sealed = await parts.stamps.sealDamaged()
  if (sealed < 0) throw parts.failure.set('writing stamps', sealed)
  return questionable
}

async function recoverSlot(
  parts: BrickParts,
  map: VolumeMap,
  slot: number,
  lastStop: LastStop,
): Promise<number> {
  const { activity, banks, capacity, clock, failure, stamps } = parts
  const bank = banks[bankOf(slot)]!
  const index = indexOf(slot)
  const active = activity.activeIn(slot)
  const stampsHold = await stamps.readAllocated(bank, index)
  const suspect = suspectAfter(lastStop, active, map.standsAlone)
  const unknown = stampsHold ? suspect : ALL_SEGMENTS
  for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
    if ((unknown >>> segment) & 1) await forgetStamps(parts, bank, slot, segment)
    if ((suspect >>> segment) & 1) await eraseAbsent(parts, slot, segment)
  }
  const loaded = await stamps.load(bank, index)
  if (loaded < 0) throw failure.set('reading stamps', loaded)
  if (stamps.hasUnknown(bank, index)) map.unknownStamps.add(slot)
  bank.doubt[index] = lastStop === 'clean' ? 0 : active
  bank.suspect[index] = suspect
  bank.stands[index] = map.standsAlone ? 1 : 0
  const firstTime = index * SEGMENTS_PER_SLOT
  bank.lastWriteMs.fill(clock(), firstTime, firstTime + SEGMENTS_PER_SLOT)
  const regions = bank.allocatedRegions(index)
  map.usedRegions += regions
  capacity.count(regions)
  return bitCount(bank.doubt[index]! | suspect)
}

function suspectAfter(lastStop: LastStop, active: number, standsAlone: boolean): number {
  if (lastStop === 'clean' || lastStop === 'warm') return 0
  return lastStop === 'cold' || standsAlone ? active : ALL_SEGMENTS
}

/**
 * What the stamps say of the segment may be gone. Which of its blocks are present was flushed with the data,
 * so which regions have space follows from the checksums.
 */
async function forgetStamps(parts: BrickParts, bank: Bank, slot: number, segment: number): Promise<void> {
  const { checksums, failure, stamps } = parts
  const index = indexOf(slot)
  const loaded = await checksums.load(slot, segment)
  const words = loaded < 0 ? undefined : checksums.peek(slot, segment)?.words
  const first = segment * REGIONS_PER_SEGMENT
  for (let i = 0; i < REGIONS_PER_SEGMENT; i++) {
    const entries = words?.subarray(i * BLOCKS_PER_REGION, (i + 1) * BLOCKS_PER_REGION)
    bank.setAllocated(index, first + i, entries?.some(entry => entry >= FIRST_PRESENT) ?? true)
  }
  const result = stamps.stamp(bank, index, first, first + REGIONS_PER_SEGMENT - 1, STAMP_UNKNOWN)
  if (result < 0) throw failure.set('writing stamps', result)
}

/**
 * A power cut can keep a write and lose its checksum, or lose a trim's hole. The next write would find those bytes:
 * were its checksum to survive another power cut and its data not, they would stand for it.
 */
async function eraseAbsent(parts: BrickParts, slot: number, segment: number): Promise<void> {
  const { checksums, failure } = parts
  if ((await checksums.load(slot, segment)) < 0) return
  const { words } = checksums.peek(slot, segment)!
  const first = segment * BLOCKS_PER_SEGMENT
  for (let from = 0; from < BLOCKS_PER_SEGMENT; ) {
    let to = from
    while (to < BLOCKS_PER_SEGMENT && words[to]! < FIRST_PRESENT) to++
    const result = to === from ? 0 : eraseBlocks(parts, slot, first + from, first + to, FALLOC_PUNCH_HOLE)
    if (result < 0) throw failure.set('erasing what a power cut left of trimmed blocks', result)
    from = to + 1
  }
}
