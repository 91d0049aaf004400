import { RANGE_BYTES } from '../../store/layout.ts'
import { REGIONS_PER_RANGE } from './region-set.ts'
import type { MemberPort } from './resync-ports.ts'

/**
 * Has a brick give back what it holds of ranges that it is not placed on any more: it was away when they moved.
 * Answers those ranges. `isPlaced` speaks of now; nobody changes the placement before this has ended.
 */
export async function freeLeftovers(
  brick: MemberPort,
  sizeBytes: number,
  isPlaced: (range: number) => boolean,
): Promise<number[]> {
  const leftovers: number[] = []
  const ranges = rangesOf(sizeBytes)
  for (let range = 0; range < ranges; range++) {
    if (isPlaced(range)) continue
    const [region] = await brick.regionsSince(0, range * REGIONS_PER_RANGE, 1)
    if (region === undefined) break
    const held = Math.floor(region / REGIONS_PER_RANGE)
    if (held === range) leftovers.push(range)
    // Everything in between is empty.
    else range = held - 1
  }
  if (leftovers.length > 0) await brick.freeRanges(leftovers)
  return leftovers
}

function rangesOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / RANGE_BYTES)
}
