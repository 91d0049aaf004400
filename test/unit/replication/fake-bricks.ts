import { BlockStatus } from '../../../src/block/block-status.ts'
import type { RegionDigest } from '../../../src/replication/replica-store.ts'
import type { MemberPort, MemberRead } from '../../../src/replication/resync/resync-ports.ts'

export const BLOCK = 4096
export const BLOCKS_PER_REGION = 64
export const REGION = BLOCK * BLOCKS_PER_REGION
const REGIONS_PER_SEGMENT = 16
const BAD = 0xffff_fff0

/** A brick as numbers: what each block holds (0: nothing), which regions are stamped how. */
export class FakeBrick implements MemberPort {
  readonly peerNumber: number
  readonly brickUuid: string
  incarnation = 'a process'
  readonly blocks = new Map<number, number>()
  readonly bad = new Set<number>()
  readonly stamps = new Map<number, number>()
  readonly active = new Set<number>()
  readonly suspect = new Set<number>()
  readonly freed: number[] = []
  readonly calls: string[] = []
  flushes = 0
  copiedBlocks = 0
  /** Awaited before each answer; rejects when the brick is away. */
  turn: () => Promise<void> = () => Promise.resolve()
  full = false

  constructor(peerNumber: number) {
    this.peerNumber = peerNumber
    this.brickUuid = `brick-${peerNumber}`
  }

  /** As a member that is sent a client's write. */
  put(block: number, value: number, generation: number): void {
    const region = Math.floor(block / BLOCKS_PER_REGION)
    this.active.add(Math.floor(region / REGIONS_PER_SEGMENT))
    this.stamps.set(region, generation)
    this.#set(block, value)
  }

  valueOf(block: number): number {
    return this.bad.has(block) ? BAD : (this.blocks.get(block) ?? 0)
  }

  #set(block: number, value: number): void {
    this.bad.delete(block)
    if (value === 0) this.blocks.delete(block)
    else this.blocks.set(block, value)
  }

  async #answer(call: string): Promise<void> {
    this.calls.push(call)
    await this.turn()
  }

  async regionsSince(since: number, from: number, atMost: number): Promise<readonly number[]> {
    await this.#answer('regionsSince')
    const known = [...this.stamps].filter(([region, stamp]) => region >= from && stamp >= since)
    return known
      .map(([region]) => region)
      .sort((a, b) => a - b)
      .slice(0, atMost)
  }

  async activeSegments(): Promise<readonly number[]> {
    await this.#answer('activeSegments')
    return [...this.active].sort((a, b) => a - b)
  }

  async suspectSegments(): Promise<readonly number[]> {
    await this.#answer('suspectSegments')
    return [...this.suspect]
  }

  async digestRegions(firstRegion: number, count: number): Promise<readonly RegionDigest[]> {
    await this.#answer('digestRegions')
    return Array.from({ length: count }, (_, i) => ({
      stamp: this.stamps.get(firstRegion + i) ?? 0,
      hash: [...this.#entries(firstRegion + i)].join(),
    }))
  }

  async blockEntries(region: number): Promise<Uint32Array> {
    await this.#answer('blockEntries')
    return this.#entries(region)
  }

  // 0 and 1 are both nothing, as in a brick.
  #entries(region: number): Uint32Array {
    const entries = new Uint32Array(BLOCKS_PER_REGION)
    for (let i = 0; i < BLOCKS_PER_REGION; i++) {
      const block = region * BLOCKS_PER_REGION + i
      const value = this.blocks.get(block) ?? 0
      entries[i] = this.bad.has(block) && this.suspect.size > 0 ? BAD : value === 0 ? 0 : value + 1
    }
    return entries
  }

  async read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): Promise<MemberRead> {
    await this.#answer('read')
    for (let done = 0; done < lengthBytes; done += BLOCK) {
      const block = (offsetBytes + done) / BLOCK
      if (this.bad.has(block)) return { status: BlockStatus.mediumError, failedAtBytes: offsetBytes + done }
      into.writeUInt32LE(this.blocks.get(block) ?? 0, at + done)
    }
    return { status: BlockStatus.ok, failedAtBytes: 0 }
  }

  async copyIn(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<BlockStatus> {
    await this.#answer('copyIn')
    if (this.full) return BlockStatus.noSpace
    for (let done = 0; done < lengthBytes; done += BLOCK) {
      this.#copied((offsetBytes + done) / BLOCK, from.readUInt32LE(at + done), stamp)
    }
    return BlockStatus.ok
  }

  async trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    await this.#answer('trimIn')
    for (let at = offsetBytes; at < offsetBytes + lengthBytes; at += BLOCK) this.#copied(at / BLOCK, 0, stamp)
    return BlockStatus.ok
  }

  async markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    await this.#answer('markBad')
    for (let at = offsetBytes; at < offsetBytes + lengthBytes; at += BLOCK) {
      this.#copied(at / BLOCK, 1, stamp)
      this.bad.add(at / BLOCK)
    }
    return BlockStatus.ok
  }

  #copied(block: number, value: number, stamp: number): void {
    const region = Math.floor(block / BLOCKS_PER_REGION)
    this.active.add(Math.floor(region / REGIONS_PER_SEGMENT))
    this.stamps.set(region, Math.max(stamp, this.stamps.get(region) ?? 0))
    this.#set(block, value)
    this.copiedBlocks++
  }

  async raiseStamps(regions: readonly number[], stamps: readonly number[]): Promise<void> {
    await this.#answer('raiseStamps')
    for (const [i, region] of regions.entries()) {
      this.stamps.set(region, Math.max(stamps[i]!, this.stamps.get(region) ?? 0))
    }
  }

  async trustSegments(segments: readonly number[]): Promise<void> {
    await this.#answer('trustSegments')
    for (const segment of segments) this.suspect.delete(segment)
  }

  async flush(): Promise<void> {
    await this.#answer('flush')
    this.flushes++
  }

  async freeRanges(ranges: readonly number[]): Promise<void> {
    await this.#answer('freeRanges')
    this.freed.push(...ranges)
    for (const region of [...this.stamps.keys()]) {
      if (ranges.includes(Math.floor(region / 16384))) this.stamps.delete(region)
    }
  }
}
