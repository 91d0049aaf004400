import { REGIONS_PER_RANGE } from './region-set.ts'
import type { MemberPort } from './resync-ports.ts'

/**
 * Has a brick give back what it holds of ranges that it is not placed on any more: it was away when they moved.
 * Answers those ranges, of the first `ranges`. `isPlaced` speaks of now; nobody changes the placement of these before
 * this has ended. Each range is an order of its own, because a fence waits for the one that is being carried out.
 */
export async function freeLeftovers(
  brick: MemberPort,
  ranges: number,
  isPlaced: (range: number) => boolean,
): Promise<number[]> {
  const leftovers: number[] = []
  for (let range = 0; range < ranges; range++) {
    if (isPlaced(range)) continue
    const [region] = await brick.regionsSince(0, range * REGIONS_PER_RANGE, 1)
    if (region === undefined) break
    const held = Math.floor(region / REGIONS_PER_RANGE)
    if (held === range) {
      await brick.freeRanges([range])
      leftovers.push(range)
    }
    // Everything in between is empty.
    else range = held - 1
  }
  return leftovers
}
