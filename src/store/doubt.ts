import type { BrickParts } from './brick-parts.ts'
import { bankOf, indexOf, SEGMENTS_PER_SLOT } from './layout.ts'

/** Whether data and checksums of a segment may disagree since an unclean stop, without an error of the disk. */
export function isInDoubt(parts: BrickParts, slot: number, segment: number): boolean {
  return ((parts.banks[bankOf(slot)]!.doubt[indexOf(slot)]! >>> segment) & 1) === 1
}

/** In doubt, or suspect: it may lack what was written before. */
export function isQuestionable(parts: BrickParts, slot: number, segment: number): boolean {
  return ((questionableIn(parts, slot) >>> segment) & 1) === 1
}

/** Bits by segment. */
export function questionableIn(parts: BrickParts, slot: number): number {
  const bank = parts.banks[bankOf(slot)]!
  return bank.doubt[indexOf(slot)]! | bank.suspect[indexOf(slot)]!
}

/** Whether this brick may settle by itself what is in doubt in a slot. PROTOCOL rule 11. */
export function standsAlone(parts: BrickParts, slot: number): boolean {
  return parts.banks[bankOf(slot)]!.stands[indexOf(slot)] === 1
}

/** A segment has been read through or reconciled, or holds nothing any more. Nothing to do for any other. */
export function endDoubt(parts: BrickParts, slot: number, segment: number): void {
  if (!isQuestionable(parts, slot, segment)) return
  const bank = parts.banks[bankOf(slot)]!
  const index = indexOf(slot)
  bank.doubt[index]! &= ~(1 << segment)
  bank.suspect[index]! &= ~(1 << segment)
  parts.doubtEnded()
}

export function endDoubtOfSlot(parts: BrickParts, slot: number): void {
  for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) endDoubt(parts, slot, segment)
}
