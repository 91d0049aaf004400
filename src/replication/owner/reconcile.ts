import { RANGE_BYTES } from '../../control/layout.ts'
import { REGION_BYTES, REGIONS_PER_SEGMENT, SEGMENT_BYTES } from '../../store/layout.ts'
import type { RangeEntry } from '../../volume/operation-queue.ts'
import type { ByteSpan } from '../messages.ts'
import { CopyFailure, type CopyScene, RegionCopier } from '../resync/region-copier.ts'
import type { HeldBlocks, MemberPort } from '../resync/resync-ports.ts'
import type { Timers } from '../timers.ts'
import { giveWhole, type WholePort } from './give-whole.ts'
import { ReconcileSources } from './reconcile-sources.ts'
import { settleRegion } from './settle-region.ts'
import type { SpanHold } from './span-hold.ts'
import { type HeldSpan, heldSpans, joinedSpans } from './whole-spans.ts'

const RETRY_MS = 200
const HELD: HeldBlocks = { release: () => {} }

export interface ReconcileOptions {
  readonly sizeBytes: number
  readonly timers: Timers
  readonly generation: () => number
  readonly ended: () => boolean
  /** S(r) now: members whose process kept its memory and page cache first. */
  readonly members: (range: number) => readonly WholePort[]
  /** A member is on its way out of S(r), and may stay. */
  readonly isLeaving: (range: number) => boolean
  /** Writes that no member may hold a part of, and some may not have. */
  readonly atomics: () => readonly ByteSpan[]
  /** Segments that no source may be read from on this member. */
  readonly isSuspect: (member: MemberPort, segment: number) => boolean
  /** A span is reconciled and its members are alike. */
  readonly reconciled: (regions: number) => void
}

/**
 * Makes the members alike again where an owner's death, or a reboot, may have left them different: span by span,
 * each held from before the first client's operation on, those that somebody waits for first. PROTOCOL rule 16.
 */
export class Reconcile {
  readonly #options: ReconcileOptions
  readonly #waiting: SpanHold[] = []
  readonly #bySegment = new Map<number, Set<SpanHold>>()
  readonly #sources: ReconcileSources

  constructor(options: ReconcileOptions, holds: readonly SpanHold[]) {
    this.#options = options
    this.add(holds)
    const { sizeBytes, isSuspect } = options
    const compare = (hold: SpanHold, source: WholePort, target: WholePort) => {
      const range = Math.floor(hold.startBytes / RANGE_BYTES)
      const { first, count } = regionsOf(hold)
      return new RegionCopier(this.#sceneOf(range, source), target, isSuspect).compare(first, count, () => {})
    }
    this.#sources = new ReconcileSources({ sizeBytes, isSuspect, compare })
  }

  get regionsLeft(): number {
    let left = 0
    for (const span of this.#waiting) left += regionsOf(span).count
    return left
  }

  /** Some of it is still to be made alike: any member of it may be the one that the others are made like. */
  isWaiting(range: number): boolean {
    const [startBytes, endBytes] = [range * RANGE_BYTES, (range + 1) * RANGE_BYTES]
    return this.#waiting.some(hold => hold.startBytes < endBytes && hold.endBytes > startBytes)
  }

  add(holds: readonly SpanHold[]): void {
    for (const hold of holds) {
      this.#waiting.push(hold)
      for (const segment of segmentsOf(hold)) {
        const others = this.#bySegment.get(segment)
        if (others === undefined) this.#bySegment.set(segment, new Set([hold]))
        else others.add(hold)
      }
    }
  }

  #done(hold: SpanHold): void {
    this.#waiting.splice(this.#waiting.indexOf(hold), 1)
    for (const segment of segmentsOf(hold)) {
      const others = this.#bySegment.get(segment)
      others?.delete(hold)
      if (others?.size === 0) this.#bySegment.delete(segment)
    }
  }

  /** The epoch is over: whoever waits for a span is refused. */
  stop(): void {
    for (const hold of this.#waiting) hold.release()
  }

  /** Resolves when nothing is left or the epoch has ended; what fails is tried again. */
  async run(): Promise<void> {
    const { ended, timers, reconciled } = this.#options
    while (this.#waiting.length > 0 && !ended()) {
      const hold = this.#next()
      try {
        await hold.begun
        await this.#reconcile(hold)
      } catch {
        await new Promise<void>(resolve => {
          timers.after(RETRY_MS, resolve)
        })
        continue
      }
      this.#done(hold)
      hold.release()
      reconciled(regionsOf(hold).count)
    }
  }

  /** The one that has kept somebody waiting for longest, else the first. */
  #next(): SpanHold {
    const [first] = this.#waiting
    const { queue } = first!
    let entry = queue.firstWaiting
    if (entry === null) return first!
    const behind = new Set<RangeEntry>()
    for (let later = entry.nextEntry; later !== null; later = later.nextEntry) behind.add(later)
    for (; entry !== null; entry = entry.nextEntry) {
      behind.delete(entry)
      if (!entry.waiting) continue
      for (const segment of segmentsOf(entry)) {
        for (const hold of this.#bySegment.get(segment) ?? []) {
          const overlaps = hold.startBytes < entry.endBytes && hold.endBytes > entry.startBytes
          if (overlaps && hold !== entry && !behind.has(hold)) return hold
        }
      }
    }
    return first!
  }

  async #reconcile(hold: SpanHold): Promise<void> {
    const { members, isSuspect, isLeaving } = this.#options
    const range = Math.floor(hold.startBytes / RANGE_BYTES)
    const segment = Math.floor(hold.startBytes / SEGMENT_BYTES)
    const { first, count } = regionsOf(hold)
    if (isLeaving(range)) throw new CopyFailure('a member of it is leaving')
    const set = members(range)
    if (set.length === 1) return this.#settleAlone(set[0]!, hold)
    const { source, alike } = await this.#sources.choose(hold, set, this.#waiting)
    const targets = set.filter(member => !alike.includes(member) && member !== source)
    if (targets.length === 0) return
    const others = set.filter(member => member !== source && !isSuspect(member, segment))
    for (const target of targets) {
      const copier = new RegionCopier(this.#sceneOf(range, source), target, isSuspect)
      const different = await copier.compare(first, count, () => {})
      await this.#giveAtomics(different)
      for (const region of different) {
        await settleRegion(source, others, ...this.#bytesOf(region))
        await copier.copy(region, () => {})
      }
    }
    // Its bad blocks could not be mended any more, and each of the others may have got what another had there.
    if (!members(range).some(({ peerNumber }) => peerNumber === source.peerNumber)) {
      throw new CopyFailure(`peer ${source.peerNumber} left while the others were made like it`)
    }
  }

  #bytesOf(region: number): [startBytes: number, endBytes: number] {
    const at = region * REGION_BYTES
    return [at, Math.min(at + REGION_BYTES, this.#options.sizeBytes)]
  }

  /** Nobody else is there to ask: once it is trusted, what was torn would be taken for lost. PROTOCOL rule 11. */
  async #settleAlone(member: WholePort, hold: SpanHold): Promise<void> {
    const { first, count } = regionsOf(hold)
    for (let region = first; region < first + count; region++) {
      const [at, end] = this.#bytesOf(region)
      await settleRegion(member, [], at, end)
    }
  }

  /** Those that touch a region in which members differ, as far as their blocks are still held. */
  async #giveAtomics(different: readonly number[]): Promise<void> {
    if (different.length === 0) return
    for (const span of joinedSpans(this.#options.atomics())) {
      const touches = different.some(region => {
        return region * REGION_BYTES < span.endBytes && (region + 1) * REGION_BYTES > span.startBytes
      })
      if (!touches) continue
      for (const held of heldSpans(span, this.#waiting)) await this.#give(held)
    }
  }

  /** From one member, unless it lies in two ranges with different members: nobody has all of it then. */
  async #give({ startBytes, endBytes, holds }: HeldSpan): Promise<void> {
    const { members, isSuspect } = this.#options
    await Promise.all(holds.map(({ begun }) => begun))
    const border = Math.floor((endBytes - 1) / RANGE_BYTES) * RANGE_BYTES
    const [set, last] = [startBytes, endBytes - 1].map(at => members(Math.floor(at / RANGE_BYTES))) as [
      readonly WholePort[],
      readonly WholePort[],
    ]
    if (set.every(({ peerNumber }) => last.some(other => other.peerNumber === peerNumber))) {
      return giveWhole(set, isSuspect, startBytes, endBytes)
    }
    await giveWhole(set, isSuspect, startBytes, border)
    await giveWhole(last, isSuspect, border, endBytes)
  }

  /** The copier's view: the span is held already, and one member is the source for all others. */
  #sceneOf(range: number, source: WholePort): CopyScene {
    const { sizeBytes, generation, members, ended } = this.#options
    const others = members(range).filter(member => member !== source)
    return {
      sizeBytes,
      get generation() {
        return generation()
      },
      get ended() {
        return ended()
      },
      members: () => [source, ...others],
      hold: () => Promise.resolve(HELD),
    }
  }
}

function* segmentsOf({ startBytes, endBytes }: { startBytes: number; endBytes: number }): Generator<number> {
  const last = Math.floor((endBytes - 1) / SEGMENT_BYTES)
  for (let segment = Math.floor(startBytes / SEGMENT_BYTES); segment <= last; segment++) yield segment
}

function regionsOf({ startBytes, endBytes }: { startBytes: number; endBytes: number }): {
  first: number
  count: number
} {
  const first = Math.floor(startBytes / REGION_BYTES)
  const count = Math.floor((endBytes - 1) / REGION_BYTES) - first + 1
  return { first, count: Math.min(count, REGIONS_PER_SEGMENT) }
}
