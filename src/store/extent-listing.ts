import type { BlockExtent } from '../block/block-device.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { BrickParts } from './brick-parts.ts'
import { BLOCK_BYTES, BLOCKS_PER_SEGMENT, bankOf, FIRST_PRESENT, indexOf, SEGMENT_BYTES } from './layout.ts'
import { segmentSlices } from './slices.ts'
import { endOfRun } from './slot-io.ts'
import { NO_SLOT, type VolumeMap } from './volume-map.ts'

interface GrowingExtent {
  offsetBytes: number
  lengthBytes: number
  mapped: boolean
}

/** Which runs of a range hold data. Rejects with ERR_BLOCK_IO when the checksum file cannot be read. */
export async function listExtents(
  parts: BrickParts,
  map: VolumeMap,
  offsetBytes: number,
  lengthBytes: number,
): Promise<BlockExtent[]> {
  const runs: GrowingExtent[] = []
  const add = (length: number, mapped: boolean) => {
    const last = runs.at(-1)
    if (last?.mapped === mapped) last.lengthBytes += length
    else runs.push({ offsetBytes: endOf(last, offsetBytes), lengthBytes: length, mapped })
  }
  for (const { extent, fromBytes, toBytes } of segmentSlices(offsetBytes, lengthBytes)) {
    const slot = map.slots[extent] ?? NO_SLOT
    const segment = Math.floor(fromBytes / SEGMENT_BYTES)
    const words = slot === NO_SLOT ? null : await entriesOf(parts, slot, segment)
    if (words === null) {
      add(toBytes - fromBytes, false)
      continue
    }
    const end = toBytes / BLOCK_BYTES - segment * BLOCKS_PER_SEGMENT
    for (let block = fromBytes / BLOCK_BYTES - segment * BLOCKS_PER_SEGMENT; block < end; ) {
      const runEnd = endOfRun(words, block, end)
      add((runEnd - block) * BLOCK_BYTES, words[block]! >= FIRST_PRESENT)
      block = runEnd
    }
  }
  return runs
}

function endOf(last: BlockExtent | undefined, start: number): number {
  return last === undefined ? start : last.offsetBytes + last.lengthBytes
}

/** null when nothing in the segment has space. */
async function entriesOf(parts: BrickParts, slot: number, segment: number): Promise<Uint32Array | null> {
  if (!parts.banks[bankOf(slot)]!.segmentIsAllocated(indexOf(slot), segment)) return null
  for (;;) {
    const page = parts.checksums.peek(slot, segment)
    if (page !== undefined) return page.words
    if ((await parts.checksums.load(slot, segment)) < 0) {
      throw new HoldfastError('ERR_BLOCK_IO', 'the checksum file cannot be read')
    }
  }
}
