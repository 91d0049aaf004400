import type { VolumeSpace } from '../volume/volume-space.ts'

/** Resources are counted in sets of this size; SBC-4 §6.6.7 wants fewer than 2³² of them in any volume. */
export const THRESHOLD_SET_BYTES = 2 ** 20
const COUNT_MAX = 0xffffffff

/** A number of bytes as a number of threshold sets, rounded down. */
export function thresholdSets(bytes: number): number {
  return Math.min(Math.floor(bytes / THRESHOLD_SET_BYTES), COUNT_MAX)
}

/** The one threshold there is: soft, armed decreasing, on the available resources. SBC-4 §4.7.3.7. */
export interface SpaceThreshold {
  readonly isEnabled: boolean
  readonly sets: number
}

/** What is in force until an initiator selects another: where the store itself begins to warn. */
export function defaultThreshold(space: VolumeSpace): SpaceThreshold {
  return { isEnabled: true, sets: thresholdSets(space.scarceBelowBytes) }
}

export function isThresholdReached({ isEnabled, sets }: SpaceThreshold, space: VolumeSpace): boolean {
  return isEnabled && sets > 0 && thresholdSets(space.availableBytes) <= sets
}
