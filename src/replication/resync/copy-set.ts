import { REGIONS_PER_RANGE, RegionSet } from './region-set.ts'
import type { MemberPort } from './resync-ports.ts'

/** Regions asked for in one answer: 64 KiB of it at most. */
const REGIONS_PER_ANSWER = 8192

export interface CopySetQuestion {
  readonly ranges: readonly number[]
  /** Generation that the joiner's removal began; 0 for full comparison, as for one that is new there. */
  readonly since: number
  readonly joiner: MemberPort
  readonly survivors: readonly MemberPort[]
  /** The joiner's active and suspect segments. */
  readonly ownSegments: Iterable<number>
  /** Called after each answer; throws to end it. */
  readonly goOn: () => void
}

/** Every region in which the joiner may differ from the survivors. PROTOCOL rule 13, invariant I10. */
export async function collectCopySet(question: CopySetQuestion): Promise<RegionSet> {
  const { joiner, survivors, since } = question
  const set = new RegionSet(question.ranges)
  for (const segment of question.ownSegments) set.addSegment(segment)
  // What ever held something at a member carries a stamp; of the joiner's not even that is known.
  for (const member of survivors) await addSince(set, member, Math.max(1, since), question)
  await addSince(set, joiner, since, question)
  return set
}

async function addSince(
  set: RegionSet,
  member: MemberPort,
  since: number,
  { ranges, goOn }: CopySetQuestion,
): Promise<void> {
  for (const range of ranges) {
    const end = (range + 1) * REGIONS_PER_RANGE
    for (let from = range * REGIONS_PER_RANGE; from < end; ) {
      const regions = await member.regionsSince(since, from, REGIONS_PER_ANSWER)
      goOn()
      for (const region of regions) if (region < end) set.add(region)
      from = regions.length < REGIONS_PER_ANSWER ? end : regions.at(-1)! + 1
    }
  }
}
