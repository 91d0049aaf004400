import { BlockStatus } from '../../block/block-status.ts'
import { RANGE_BYTES } from '../../control/layout.ts'
import { REGION_BYTES, SEGMENT_BYTES } from '../../store/layout.ts'
import { CopyFailure } from '../resync/region-copier.ts'
import type { MemberPort } from '../resync/resync-ports.ts'
import type { WholePort } from './give-whole.ts'
import type { SpanHold } from './span-hold.ts'

/** What is known of one span before it is made alike. */
interface Choice {
  readonly source: WholePort
  /** Whom it was compared with: they differ from it in no region. */
  readonly alike: readonly WholePort[]
}

export interface ReconcileSourcesOptions {
  readonly sizeBytes: number
  readonly isSuspect: (member: MemberPort, segment: number) => boolean
  /** Regions of the span in which a member differs from `source`. */
  readonly compare: (hold: SpanHold, source: WholePort, target: WholePort) => Promise<readonly number[]>
}

/**
 * Whom the others are made like, span by span. One without a bad block in what differs is the better source: mending
 * those of another from it would mix a part of what it alone has of an atomic write into what the other has. For the
 * same reason spans that lie side by side have one source. PROTOCOL rule 16.
 */
export class ReconcileSources {
  readonly #options: ReconcileSourcesOptions
  readonly #choices = new WeakMap<SpanHold, Choice>()

  constructor(options: ReconcileSourcesOptions) {
    this.#options = options
  }

  /** Of a span that is one of `waiting`; rejects with CopyFailure where everybody is suspect. */
  async choose(hold: SpanHold, set: readonly WholePort[], waiting: readonly SpanHold[]): Promise<Choice> {
    const known = this.#choices.get(hold)
    if (known !== undefined && set.includes(known.source)) return known
    const run = this.#alikeSuspect(hold, set, runAround(hold, waiting))
    await Promise.all(run.map(({ begun }) => begun))
    const good = this.#good(hold, set)
    const [first] = good
    if (first === undefined)
      throw new CopyFailure(`segment ${segmentOf(hold)} is suspect on every member of its range`)
    const different = new Set<number>()
    for (const each of run) {
      const alike: WholePort[] = []
      await Promise.all(
        set.map(async target => {
          const regions = target === first ? [] : await this.#options.compare(each, first, target)
          for (const region of regions) different.add(region)
          if (regions.length === 0) alike.push(target)
        }),
      )
      this.#choices.set(each, { source: first, alike })
    }
    const source = different.size === 0 ? first : ((await this.#firstWhole(good, different)) ?? first)
    if (source !== first) for (const each of run) this.#choices.set(each, { source, alike: [source] })
    return this.#choices.get(hold)!
  }

  #good(hold: SpanHold, set: readonly WholePort[]): WholePort[] {
    return set.filter(member => !this.#options.isSuspect(member, segmentOf(hold)))
  }

  /** The part of the run around `hold` in which the same members are suspect. */
  #alikeSuspect(hold: SpanHold, set: readonly WholePort[], run: readonly SpanHold[]): SpanHold[] {
    const goodOf = (each: SpanHold) =>
      this.#good(each, set)
        .map(({ peerNumber }) => peerNumber)
        .join()
    const isLike = (each: SpanHold) => goodOf(each) === goodOf(hold)
    const at = run.indexOf(hold)
    let from = at
    let to = at + 1
    while (from > 0 && isLike(run[from - 1]!)) from--
    while (to < run.length && isLike(run[to]!)) to++
    return run.slice(from, to)
  }

  async #firstWhole(good: readonly WholePort[], regions: ReadonlySet<number>): Promise<WholePort | null> {
    const buffer = Buffer.allocUnsafeSlow(REGION_BYTES)
    for (const member of good) if (await this.#isWhole(member, regions, buffer)) return member
    return null
  }

  async #isWhole(member: WholePort, regions: ReadonlySet<number>, buffer: Buffer): Promise<boolean> {
    for (const region of regions) {
      const at = region * REGION_BYTES
      const lengthBytes = Math.min(REGION_BYTES, this.#options.sizeBytes - at)
      if ((await member.read(at, lengthBytes, buffer, 0)).status !== BlockStatus.ok) return false
    }
    return true
  }
}

function segmentOf({ startBytes }: SpanHold): number {
  return Math.floor(startBytes / SEGMENT_BYTES)
}

/** Those of one range that lie side by side with `hold`, in the order of their places. */
function runAround(hold: SpanHold, waiting: readonly SpanHold[]): SpanHold[] {
  const rangeOf = ({ startBytes }: SpanHold) => Math.floor(startBytes / RANGE_BYTES)
  const sorted = waiting
    .filter(other => rangeOf(other) === rangeOf(hold))
    .sort((a, b) => a.startBytes - b.startBytes)
  const at = sorted.indexOf(hold)
  let from = at
  let to = at + 1
  while (from > 0 && sorted[from - 1]!.endBytes === sorted[from]!.startBytes) from--
  while (to < sorted.length && sorted[to]!.startBytes === sorted[to - 1]!.endBytes) to++
  return sorted.slice(from, to)
}
