import type { BrickParts } from './brick-parts.ts'
import { bankOf, indexOf, SEGMENTS_PER_SLOT } from './layout.ts'

/** Whether a segment was active at open and has not been read through since. */
export function isInDoubt(parts: BrickParts, slot: number, segment: number): boolean {
  return ((parts.banks[bankOf(slot)]!.doubt[indexOf(slot)]! >>> segment) & 1) === 1
}

/** A segment has been read through, or holds nothing any more. Nothing to do for one that is in no doubt. */
export function endDoubt(parts: BrickParts, slot: number, segment: number): void {
  if (!isInDoubt(parts, slot, segment)) return
  parts.banks[bankOf(slot)]!.doubt[indexOf(slot)]! &= ~(1 << segment)
  parts.doubtEnded()
}

export function endDoubtOfSlot(parts: BrickParts, slot: number): void {
  for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) endDoubt(parts, slot, segment)
}
