import { BlockStatus } from '../../block/block-status.ts'
import { BLOCK_BYTES, REGION_BYTES, REGIONS_PER_SEGMENT, STAMP_UNKNOWN } from '../../store/layout.ts'
import type { RegionDigest } from '../replica-store.ts'
import { type DifferingRun, differingRuns } from './region-diff.ts'
import { REGIONS_PER_RANGE } from './region-set.ts'
import type { MemberPort, ResyncOwner } from './resync-ports.ts'

/** Copies of one region before its source or its target must be taken for broken. */
const ATTEMPTS_MAX = 3

/** Why a copy has ended that did not join. */
export class CopyFailure extends Error {
  override readonly name = 'CopyFailure'
}

/** What copying a region asks of the owner. */
export type CopyScene = Pick<ResyncOwner, 'sizeBytes' | 'generation' | 'ended' | 'members' | 'hold'>

/** Brings regions of a joiner in line with the members, under block locks. PROTOCOL rule 13. */
export class RegionCopier {
  copiedBytes = 0
  readonly #owner: CopyScene
  readonly #joiner: MemberPort
  /** Regions that this returns for a range member are no source there. */
  readonly #isSuspect: (member: MemberPort, segment: number) => boolean
  /** Offsets of blocks of the region at hand that the source could not give. */
  readonly #unlikeSource = new Set<number>()
  #room: Buffer | null = null

  constructor(
    owner: CopyScene,
    joiner: MemberPort,
    isSuspect: (member: MemberPort, segment: number) => boolean,
  ) {
    this.#owner = owner
    this.#joiner = joiner
    this.#isSuspect = isSuspect
  }

  /**
   * Compares regions first to first + count, all of one segment, and has those that are equal take the larger
   * stamp; `done` is called for each of them while it is held. Answers the others.
   */
  async compare(first: number, count: number, done: (region: number) => void): Promise<number[]> {
    const held = await this.#hold(first, count)
    try {
      const [theirs, ours] = await Promise.all([
        this.#sources(first)[0]!.digestRegions(first, count),
        this.#joiner.digestRegions(first, count),
      ])
      const equal: number[] = []
      const others: number[] = []
      for (let i = 0; i < count; i++) {
        ;(theirs[i]!.hash === ours[i]!.hash ? equal : others).push(first + i)
      }
      await this.#raise(equal, theirs, ours, first)
      for (const region of equal) done(region)
      return others
    } finally {
      held.release()
    }
  }

  /** Makes one region equal; `done` is called while it is held. */
  async copy(region: number, done: (region: number) => void): Promise<void> {
    const held = await this.#hold(region, 1)
    try {
      for (let attempt = 0; ; attempt++) {
        if (attempt === ATTEMPTS_MAX) throw new CopyFailure(`region ${region} differs after it was copied`)
        if (await this.#attempt(region)) break
      }
      done(region)
    } finally {
      held.release()
    }
  }

  /** Made when something differs: most of what a takeover compares is equal. */
  get #buffer(): Buffer {
    this.#room ??= Buffer.allocUnsafeSlow(REGION_BYTES)
    return this.#room
  }

  /** True when the region is equal now, but for blocks that no member can give. */
  async #attempt(region: number): Promise<boolean> {
    const sources = this.#sources(region)
    const [source] = sources
    const [digest, entries, ours] = await Promise.all([
      source!.digestRegions(region, 1),
      source!.blockEntries(region),
      this.#joiner.blockEntries(region),
    ])
    const stamp = this.#stampOf(digest[0]!.stamp)
    this.#unlikeSource.clear()
    for (const run of differingRuns(entries, ours)) {
      if (run.absent) this.#check(await this.#joiner.trimIn(this.#at(region, run), run.lengthBytes, stamp))
      else await this.#copyRun(sources, region, run, stamp)
    }
    // Equal ones have been compared already: what is asked is whether the copies arrived.
    const [after] = await this.#joiner.digestRegions(region, 1)
    if (after!.hash !== digest[0]!.hash && !(await this.#isElsewhereAlike(region, entries))) return false
    await this.#raise([region], digest, [after!], region)
    return true
  }

  /** Whether what differs from the source is nothing but blocks that the source could not give. */
  async #isElsewhereAlike(region: number, source: Uint32Array): Promise<boolean> {
    if (this.#unlikeSource.size === 0) return false
    return differingRuns(source, await this.#joiner.blockEntries(region)).every(run => {
      const at = this.#at(region, run)
      for (let block = at; block < at + run.lengthBytes; block += BLOCK_BYTES) {
        if (!this.#unlikeSource.has(block)) return false
      }
      return true
    })
  }

  async #copyRun(
    sources: readonly MemberPort[],
    region: number,
    run: DifferingRun,
    stamp: number,
  ): Promise<void> {
    const endBytes = this.#at(region, run) + run.lengthBytes
    for (let at = this.#at(region, run); at < endBytes; ) {
      const whole = await sources[0]!.read(at, endBytes - at, this.#buffer, 0)
      if (whole.status === BlockStatus.ok) {
        await this.#put(at, endBytes - at, stamp)
        break
      }
      if (whole.status !== BlockStatus.mediumError) this.#check(whole.status)
      const goodBytes = whole.failedAtBytes - at
      if (goodBytes > 0) {
        // Whatever a failed read leaves in the buffer is not to be relied on.
        this.#check((await sources[0]!.read(at, goodBytes, this.#buffer, 0)).status)
        await this.#put(at, goodBytes, stamp)
      }
      await this.#copyFromOthers(sources.slice(1), whole.failedAtBytes, stamp)
      at = whole.failedAtBytes + BLOCK_BYTES
    }
  }

  /** Where no member has the block, reads of it fail on the joiner too. */
  async #copyFromOthers(others: readonly MemberPort[], at: number, stamp: number): Promise<void> {
    this.#unlikeSource.add(at)
    for (const other of others) {
      if ((await other.read(at, BLOCK_BYTES, this.#buffer, 0)).status !== BlockStatus.ok) continue
      return this.#put(at, BLOCK_BYTES, stamp)
    }
    this.#check(await this.#joiner.markBad(at, BLOCK_BYTES, stamp))
  }

  async #put(at: number, lengthBytes: number, stamp: number): Promise<void> {
    this.#check(await this.#joiner.copyIn(at, lengthBytes, this.#buffer, 0, stamp))
    this.copiedBytes += lengthBytes
  }

  async #raise(
    regions: readonly number[],
    theirs: readonly RegionDigest[],
    ours: readonly RegionDigest[],
    first: number,
  ): Promise<void> {
    const behind = regions.filter(region => {
      return this.#stampOf(theirs[region - first]!.stamp) > ours[region - first]!.stamp
    })
    if (behind.length === 0) return
    const stamps = behind.map(region => this.#stampOf(theirs[region - first]!.stamp))
    await this.#joiner.raiseStamps(behind, stamps)
  }

  /** What a member does not know is as new as can be. */
  #stampOf(stamp: number): number {
    return stamp === STAMP_UNKNOWN ? this.#owner.generation : stamp
  }

  #sources(region: number): MemberPort[] {
    const segment = Math.floor(region / REGIONS_PER_SEGMENT)
    const members = this.#owner.members(Math.floor(region / REGIONS_PER_RANGE))
    const sources = members.filter(
      member => member.peerNumber !== this.#joiner.peerNumber && !this.#isSuspect(member, segment),
    )
    if (sources.length === 0) throw new CopyFailure(`region ${region} is suspect on every member`)
    return sources
  }

  #hold(first: number, count: number) {
    if (this.#owner.ended) throw new CopyFailure('the epoch is over')
    const at = first * REGION_BYTES
    return this.#owner.hold(at, Math.min(count * REGION_BYTES, this.#owner.sizeBytes - at))
  }

  #at(region: number, run: DifferingRun): number {
    return region * REGION_BYTES + run.offsetBytes
  }

  #check(status: BlockStatus): void {
    if (status === BlockStatus.ok) return
    const why = status === BlockStatus.noSpace ? 'no space left on the brick' : `status ${status}`
    throw new CopyFailure(`peer ${this.#joiner.peerNumber}: ${why}`)
  }
}
