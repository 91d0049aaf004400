import type { Bank } from '../bank.ts'
import type { BlockJudge } from '../block-judge.ts'
import type { BrickParts } from '../brick-parts.ts'
import { BLOCKS_PER_SEGMENT, bankOf, indexOf, slotDataAt } from '../layout.ts'
import type { ScrubSource } from './scrub.ts'

/** An open brick as the scrubber sees it. `slots` answers the slots that hold an extent now. */
export function brickScrubSource(
  parts: BrickParts,
  judge: BlockJudge,
  slots: () => readonly number[],
): ScrubSource {
  const bank = (slot: number): Bank => parts.banks[bankOf(slot)]!
  const page = async (slot: number, segment: number) => {
    const result = await parts.checksums.load(slot, segment)
    return result < 0 ? undefined : parts.checksums.peek(slot, segment)
  }
  return {
    slots,
    isRegionAllocated: (slot, region) => bank(slot).isAllocated(indexOf(slot), region),
    locate: slot => ({ path: bank(slot).dataPath, offsetBytes: slotDataAt(indexOf(slot)) }),
    async entries(slot, segment) {
      return (await page(slot, segment))?.words ?? null
    },
    isInDoubt: (slot, segment) => ((bank(slot).doubt[indexOf(slot)]! >>> segment) & 1) !== 0,
    async settle(slot, segment, block) {
      const checksums = await page(slot, segment)
      if (checksums === undefined) return
      judge.lookAgain(bank(slot), slot, segment * BLOCKS_PER_SEGMENT + block, checksums)
    },
    doubtEnds(slot, segment) {
      bank(slot).doubt[indexOf(slot)]! &= ~(1 << segment)
      parts.doubtEnded()
    },
    foundBad() {
      parts.counters.checksumErrors++
    },
  }
}
