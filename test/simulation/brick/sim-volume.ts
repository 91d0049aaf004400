import type { BlockExtent } from '../../../src/block/block-device.ts'
import { BlockKind, type BlockOperation } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import { RANGE_BYTES } from '../../../src/control/layout.ts'
import { invariant } from '../../../src/lib/invariant.ts'
import type {
  RegionDigest,
  ReplicaDescriptor,
  ReplicaVolume,
} from '../../../src/replication/replica-store.ts'
import { Preparation } from './preparation.ts'
import { entriesOf, hashOfEntries, type RegionEntries } from './region-hash.ts'
import type { SimBrick } from './sim-brick.ts'
import { forBlocks, forRegions, forSegments, mappedRuns } from './spans.ts'
import {
  BLOCK_BYTES,
  BLOCKS_PER_REGION,
  BLOCKS_PER_SEGMENT,
  Entry,
  entryOf,
  REGION_BYTES,
  REGIONS_PER_SEGMENT,
  SEGMENT_BYTES,
  STAMP_UNKNOWN,
  type VolumeImage,
  ZERO_BLOCK,
} from './volume-image.ts'

/** Inline calls answer wouldBlock this often though they need not: the other way must hold as well. */
const WOULD_BLOCK_CHANCE = 0.04

/** One volume of an open brick. What replica-store.ts says of each member is what this does, and no more. */
export class SimVolume implements ReplicaVolume {
  readonly uuid: string
  readonly image: VolumeImage
  failedAtBytes = 0
  standsAlone = false
  readonly #brick: SimBrick
  readonly #preparation: Preparation
  readonly #suspect: Set<number>
  readonly #inDoubt: Set<number>
  readonly #writtenAtMs = new Map<number, number>()
  readonly #beingWritten = new Set<BlockOperation>()
  #writes = new Map<number, number>()
  #generation = 0

  constructor(brick: SimBrick, image: VolumeImage, cold: boolean, unclean: boolean) {
    this.#brick = brick
    this.image = image
    this.#preparation = new Preparation(brick, image)
    this.uuid = image.uuid
    this.#suspect = new Set(cold ? image.active : [])
    this.#inDoubt = new Set(cold || unclean ? image.active : [])
    for (const segment of image.active) this.#writtenAtMs.set(segment, brick.process.bootMs())
  }

  get sizeBytes(): number {
    return this.image.sizeBytes
  }

  get descriptor(): ReplicaDescriptor {
    return this.image.descriptor
  }

  get atomicsAtOpen() {
    return this.image.atomicsAtOpen
  }

  get usedBytes(): number {
    return this.image.allocated.size * REGION_BYTES
  }

  get generation(): number {
    return this.#generation
  }

  /** The owner's first message: unknown stamps become the current generation. PROTOCOL rule 11. */
  set generation(generation: number) {
    invariant(generation >= this.#generation, 'a generation never falls')
    if (generation === this.#generation) return
    this.#generation = generation
    for (let region = 0; region < this.image.regions; region++) {
      if (this.image.stamp(region) === STAMP_UNKNOWN) this.image.setStamp(region, generation)
    }
  }

  async persistDescriptor(descriptor: ReplicaDescriptor): Promise<void> {
    const { epoch, setVersion } = descriptor
    const check = () => {
      const now = this.image.descriptor
      invariant(epoch >= now.epoch && setVersion >= now.setVersion, 'a descriptor never falls')
    }
    check()
    await this.#brick.durably()
    check()
    this.image.descriptor = descriptor
    this.#brick.witness.descriptorPersisted(this.#brick, this.uuid, epoch, setVersion)
  }

  readNow(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    if (this.#brick.failure !== null) return BlockStatus.ioError
    if (this.#blocksNow()) return BlockStatus.wouldBlock
    return this.#read(offsetBytes, lengthBytes, into, at)
  }

  writeNow(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): BlockStatus {
    if (this.#brick.failure !== null) return BlockStatus.ioError
    if (this.#blocksNow() || !this.#preparation.isReady(offsetBytes, lengthBytes))
      return BlockStatus.wouldBlock
    this.#write(offsetBytes, lengthBytes, from, at)
    return BlockStatus.ok
  }

  submit(operation: BlockOperation): void {
    void this.#carryOut(operation).then(status => {
      operation.status = status
      if (status === BlockStatus.mediumError) operation.failedAtBytes = this.failedAtBytes
      operation.completion.blockDone(operation)
    })
  }

  async extents(offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    await this.#brick.wait(this.#brick.diskMs())
    return mappedRuns(this.image, offsetBytes, lengthBytes)
  }

  quietSegments(quietSinceMs: number, atMost: number): number[] {
    return this.activeSegments()
      .filter(segment => (this.#writtenAtMs.get(segment) ?? 0) <= quietSinceMs)
      .slice(0, atMost)
  }

  async clearSegments(segments: readonly number[]): Promise<void> {
    const before = segments.map(segment => this.#writes.get(segment) ?? 0)
    await this.#flush()
    await this.#brick.durably()
    segments.forEach((segment, i) => {
      if ((this.#writes.get(segment) ?? 0) !== before[i]) return
      if (this.image.active.delete(segment)) this.#brick.tally.add('segment cleared')
    })
  }

  async reserve(offsetBytes: number, lengthBytes: number): Promise<number> {
    await this.#brick.wait(this.#brick.diskMs())
    return this.#preparation.reserve(offsetBytes, lengthBytes)
  }

  activeSegments(): number[] {
    return [...this.image.active].sort((a, b) => a - b)
  }

  suspectSegments(): number[] {
    return [...this.#suspect].sort((a, b) => a - b)
  }

  isSuspect(block: number): boolean {
    return this.#suspect.has(Math.floor(block / BLOCKS_PER_SEGMENT))
  }

  isInDoubt(block: number): boolean {
    return this.#inDoubt.has(Math.floor(block / BLOCKS_PER_SEGMENT))
  }

  /** Another member may know better what is in some segment. */
  get isQuestionable(): boolean {
    return this.#suspect.size + this.#inDoubt.size > 0
  }

  async trustSegments(segments: readonly number[]): Promise<void> {
    await this.#brick.durably()
    for (const segment of segments) {
      this.#suspect.delete(segment)
      this.#inDoubt.delete(segment)
    }
    this.#brick.settled()
  }

  async regionsSince(since: number, from: number, atMost: number): Promise<number[]> {
    await this.#brick.wait(this.#brick.diskMs())
    const found: number[] = []
    for (let region = from; region < this.image.regions && found.length < atMost; region++) {
      if (since === 0 ? this.#mayHold(region) : this.image.stamp(region) >= since) found.push(region)
    }
    return found
  }

  async stampActive(generation: number): Promise<void> {
    await this.#brick.wait(this.#brick.diskMs())
    for (const segment of this.image.active) {
      for (let i = 0; i < REGIONS_PER_SEGMENT; i++) this.#raise(segment * REGIONS_PER_SEGMENT + i, generation)
    }
  }

  async digestRegions(firstRegion: number, count: number): Promise<RegionDigest[]> {
    await this.#brick.wait(this.#brick.diskMs())
    if (this.#brick.failure !== null) throw this.#brick.failure
    const digests: RegionDigest[] = []
    const end = Math.min(this.image.regions, firstRegion + count)
    for (let region = firstRegion; region < end; region++) {
      digests.push({ stamp: this.image.stamp(region), hash: this.#hash(region) })
    }
    return digests
  }

  async blockEntries(region: number): Promise<Uint32Array> {
    await this.#brick.wait(this.#brick.diskMs())
    if (this.#brick.failure !== null) throw this.#brick.failure
    return this.#entries(region).entries
  }

  async copyIn(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<number> {
    const data = Buffer.from(from.subarray(at, at + lengthBytes))
    const status = await this.#preparation.run(offsetBytes, lengthBytes)
    if (status !== BlockStatus.ok) return status
    this.#store(offsetBytes, lengthBytes, data, 0)
    this.#raiseRegions(offsetBytes, lengthBytes, stamp)
    return BlockStatus.ok
  }

  async trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<number> {
    const status = await this.#preparation.run(offsetBytes, lengthBytes, false)
    if (status !== BlockStatus.ok) return status
    this.#clear(offsetBytes, lengthBytes, Entry.absent)
    this.#raiseRegions(offsetBytes, lengthBytes, stamp)
    return BlockStatus.ok
  }

  async raiseStamp(region: number, stamp: number): Promise<void> {
    await this.#brick.wait(this.#brick.diskMs())
    this.#raise(region, stamp)
  }

  async markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<number> {
    const status = await this.#preparation.run(offsetBytes, lengthBytes, false)
    if (status !== BlockStatus.ok) return status
    this.#brick.tally.add('block marked bad', lengthBytes / BLOCK_BYTES)
    forBlocks(offsetBytes, lengthBytes, block => this.image.setEntry(block, Entry.bad))
    this.#raiseRegions(offsetBytes, lengthBytes, stamp)
    return BlockStatus.ok
  }

  async repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<number> {
    const data = Buffer.from(from.subarray(at, at + lengthBytes))
    const status = await this.#preparation.run(offsetBytes, lengthBytes)
    if (status !== BlockStatus.ok) return status
    this.#brick.tally.add('block repaired', lengthBytes / BLOCK_BYTES)
    this.#store(offsetBytes, lengthBytes, data, 0)
    return BlockStatus.ok
  }

  async freeRanges(ranges: readonly number[]): Promise<void> {
    await this.#brick.durably()
    const perRange = RANGE_BYTES / REGION_BYTES
    for (const range of ranges) {
      this.image.free(range * perRange, Math.min(this.image.regions, (range + 1) * perRange))
    }
  }

  /** What was under way when the process was killed is there in part, checksums behind the data. */
  killed(): void {
    const { random } = this.#brick.process
    for (const { offsetBytes, data } of this.image.journal.interrupted(random)) {
      const blocks = random.below(data.length / BLOCK_BYTES + 1)
      if (blocks > 0) this.#write(offsetBytes, blocks * BLOCK_BYTES, data, 0)
    }
    for (const { kind, offsetBytes, lengthBytes, data, dataAt } of this.#beingWritten) {
      if (
        kind !== BlockKind.write ||
        !this.#preparation.isReady(offsetBytes, lengthBytes) ||
        random.chance(0.4)
      )
        continue
      this.#brick.tally.add('write cut short by a kill')
      const blocks = random.below(lengthBytes / BLOCK_BYTES + 1)
      if (blocks > 0) this.#write(offsetBytes, blocks * BLOCK_BYTES, data, dataAt)
      if (blocks * BLOCK_BYTES < lengthBytes) {
        const at = dataAt + blocks * BLOCK_BYTES
        const torn = Buffer.from(data.subarray(at, at + BLOCK_BYTES))
        this.image.setData(offsetBytes / BLOCK_BYTES + blocks, torn)
      }
    }
  }

  #blocksNow(): boolean {
    return this.#brick.disk.isSlow || this.#brick.process.random.chance(WOULD_BLOCK_CHANCE)
  }

  async #carryOut(operation: BlockOperation): Promise<BlockStatus> {
    const { kind, offsetBytes, lengthBytes, data, dataAt } = operation
    if (kind === BlockKind.flush)
      return this.#flush().then(
        () => BlockStatus.ok,
        () => BlockStatus.ioError,
      )
    if (kind === BlockKind.read) {
      await this.#brick.wait(this.#brick.diskMs())
      if (this.#brick.failure !== null) return BlockStatus.ioError
      return this.#read(offsetBytes, lengthBytes, data, dataAt)
    }
    if (kind === BlockKind.writeAtomic) return this.#writeAtomic(operation)
    this.#beingWritten.add(operation)
    const status = await this.#preparation.run(offsetBytes, lengthBytes, kind !== BlockKind.trim)
    this.#beingWritten.delete(operation)
    if (status !== BlockStatus.ok) return status
    if (kind === BlockKind.write) this.#write(offsetBytes, lengthBytes, data, dataAt)
    else this.#zero(offsetBytes, lengthBytes, kind === BlockKind.trim ? Entry.absent : Entry.zero)
    if (!operation.fua) return BlockStatus.ok
    return this.#flush().then(
      () => BlockStatus.ok,
      () => BlockStatus.ioError,
    )
  }

  /** The record is durable before the first block is put in place. */
  async #writeAtomic({ offsetBytes, lengthBytes, data, dataAt }: BlockOperation): Promise<BlockStatus> {
    const brick = this.#brick
    const status = await this.#preparation.run(offsetBytes, lengthBytes)
    if (status !== BlockStatus.ok) return status
    const payload = Buffer.from(data.subarray(dataAt, dataAt + lengthBytes))
    const record = this.image.journal.append(offsetBytes, payload)
    await brick.wait(brick.fsyncMs())
    if (this.#fsyncFails()) this.image.journal.drop(record)
    if (brick.failure !== null) return BlockStatus.ioError
    record.isDurable = true
    await brick.wait(brick.diskMs())
    if (brick.failure !== null) return BlockStatus.ioError
    this.#write(offsetBytes, lengthBytes, payload, 0)
    record.isInPlace = true
    brick.tally.add('atomic write in place')
    return BlockStatus.ok
  }

  #read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): BlockStatus {
    for (let done = 0; done < lengthBytes; done += BLOCK_BYTES) {
      const block = (offsetBytes + done) / BLOCK_BYTES
      let data = this.image.verified(block)
      if (
        data === null &&
        this.standsAlone &&
        this.isInDoubt(block) &&
        this.image.entry(block) !== Entry.bad
      ) {
        data = this.image.data(block)
        this.image.setEntry(block, entryOf(data))
        this.#brick.tally.add('block in doubt settled')
      }
      if (data === null) {
        this.failedAtBytes = offsetBytes + done
        return BlockStatus.mediumError
      }
      data.copy(into, at + done)
    }
    return BlockStatus.ok
  }

  #write(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): void {
    this.#stampWritten(offsetBytes, lengthBytes)
    this.#store(offsetBytes, lengthBytes, from, at)
  }

  #zero(offsetBytes: number, lengthBytes: number, entry: number): void {
    this.#stampWritten(offsetBytes, lengthBytes)
    this.#clear(offsetBytes, lengthBytes, entry)
  }

  #store(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): void {
    this.#touch(offsetBytes, lengthBytes)
    for (let done = 0; done < lengthBytes; done += BLOCK_BYTES) {
      const block = (offsetBytes + done) / BLOCK_BYTES
      const data = Buffer.from(from.subarray(at + done, at + done + BLOCK_BYTES))
      this.image.setData(block, data)
      this.image.setEntry(block, entryOf(data))
      this.#brick.witness.applied(this.#brick, this.uuid, block, data)
    }
  }

  #clear(offsetBytes: number, lengthBytes: number, entry: number): void {
    this.#touch(offsetBytes, lengthBytes)
    // Erasing a whole volume must not take as long as writing it.
    const isVast = lengthBytes > SEGMENT_BYTES && entry === Entry.absent
    forBlocks(offsetBytes, lengthBytes, block => {
      if (isVast && !this.image.wasTouched(block)) return
      this.image.setData(block, ZERO_BLOCK)
      this.image.setEntry(block, entry)
      this.#brick.witness.applied(this.#brick, this.uuid, block, ZERO_BLOCK)
    })
  }

  #touch(offsetBytes: number, lengthBytes: number): void {
    const now = this.#brick.process.bootMs()
    forSegments(offsetBytes, lengthBytes, segment => {
      this.#writtenAtMs.set(segment, now)
      this.#writes.set(segment, (this.#writes.get(segment) ?? 0) + 1)
    })
  }

  #stampWritten(offsetBytes: number, lengthBytes: number): void {
    forRegions(offsetBytes, lengthBytes, region => this.image.setStamp(region, this.#generation))
  }

  #raiseRegions(offsetBytes: number, lengthBytes: number, stamp: number): void {
    forRegions(offsetBytes, lengthBytes, region => this.#raise(region, stamp))
  }

  #raise(region: number, stamp: number): void {
    if (region < this.image.regions && this.image.stamp(region) < stamp) this.image.setStamp(region, stamp)
  }

  async #flush(): Promise<void> {
    const brick = this.#brick
    if (brick.failure !== null) throw brick.failure
    const snapshot = this.image.snapshot()
    await brick.wait(brick.fsyncMs())
    if (brick.failure !== null) throw brick.failure
    if (this.#fsyncFails()) {
      this.image.forgotten(snapshot)
      throw brick.failure
    }
    this.image.synced(snapshot)
  }

  #fsyncFails(): boolean {
    const { disk, tally } = this.#brick
    if (!disk.trouble.failsNextFsync) return false
    disk.trouble.failsNextFsync = false
    tally.add('fsync failed')
    this.#brick.fail('an fsync failed')
    return true
  }

  #mayHold(region: number): boolean {
    if (this.image.allocated.has(region)) return true
    const stamp = this.image.stamp(region)
    if (stamp !== 0 && stamp !== STAMP_UNKNOWN) return true
    return this.image.active.has(Math.floor(region / REGIONS_PER_SEGMENT))
  }

  #entries(region: number): RegionEntries {
    const first = region * BLOCKS_PER_REGION
    return entriesOf(this.image, region, this.isSuspect(first) || this.isInDoubt(first))
  }

  /** Two bricks may have the same block torn under the same checksum: they are not alike, they are both bad. */
  #hash(region: number): string {
    const { entries, differs } = this.#entries(region)
    return differs ? this.#brick.process.random.bytes(16).toString('hex') : hashOfEntries(entries)
  }
}
