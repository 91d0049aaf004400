import { BlockStatus } from '../../block/block-status.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { BrickParts } from '../brick-parts.ts'
import { endDoubt } from '../doubt.ts'
import { bankOf, indexOf, RANGE_BYTES, REGION_BYTES, SEGMENTS_PER_SLOT, SLOT_BYTES } from '../layout.ts'
import type { RegionDigest, ReplicaDescriptor, ReplicaVolume } from '../replica-store.ts'
import { StoredVolume, type VolumeRooms } from '../volume-extents.ts'
import { NO_SLOT, type VolumeMap } from '../volume-map.ts'
import { RegionCopies } from './region-copies.ts'
import { RegionEntries } from './region-entries.ts'
import { RegionStamps } from './region-stamps.ts'

const EXTENTS_PER_RANGE = RANGE_BYTES / SLOT_BYTES

/** A volume's extents on this brick, with all that replication asks of it. */
export class StoredReplica extends StoredVolume implements ReplicaVolume {
  readonly #parts: BrickParts
  readonly #rooms: VolumeRooms
  readonly #stamps: RegionStamps
  readonly #entries: RegionEntries
  readonly #copies: RegionCopies
  #descriptor: ReplicaDescriptor

  constructor(map: VolumeMap, rooms: VolumeRooms, descriptor: ReplicaDescriptor) {
    super(map, rooms)
    const { parts, io, preparation, reads } = rooms
    this.#parts = parts
    this.#rooms = rooms
    this.#stamps = new RegionStamps(parts, preparation)
    this.#entries = new RegionEntries(parts, reads)
    this.#copies = new RegionCopies(parts, io, preparation)
    this.#descriptor = descriptor
  }

  get uuid(): string {
    return this.map.uuid
  }

  get sizeBytes(): number {
    return this.map.sizeBytes
  }

  get descriptor(): ReplicaDescriptor {
    return this.#descriptor
  }

  async persistDescriptor(descriptor: ReplicaDescriptor): Promise<void> {
    await this.#parts.catalogue.putDescriptor(this.uuid, descriptor)
    this.#descriptor = descriptor
  }

  /** Persisted by whoever calls, as the catalogue does it: neither number falls. */
  descriptorRaised({ epoch, setVersion }: ReplicaDescriptor): void {
    const kept = epoch > this.#descriptor.epoch ? { epoch, setVersion } : this.#descriptor
    this.#descriptor = {
      ...kept,
      setVersion: Math.max(setVersion, this.#descriptor.setVersion),
    }
  }

  get standsAlone(): boolean {
    return this.map.standsAlone
  }

  set standsAlone(standsAlone: boolean) {
    this.map.standsAlone = standsAlone
    for (const slot of this.map.slots) {
      if (slot !== NO_SLOT) this.#parts.banks[bankOf(slot)]!.stands[indexOf(slot)] = standsAlone ? 1 : 0
    }
  }

  reserve(offsetBytes: number, lengthBytes: number): Promise<BlockStatus> {
    const start = offsetBytes - (offsetBytes % REGION_BYTES)
    const end = Math.min(this.sizeBytes, Math.ceil((offsetBytes + lengthBytes) / REGION_BYTES) * REGION_BYTES)
    return this.#counted(() => this.becomeReady(start, end - start))
  }

  get atomicsAtOpen(): readonly { readonly offsetBytes: number; readonly lengthBytes: number }[] {
    return this.map.atomicsAtOpen
  }

  activeSegments(): number[] {
    return this.#segments(slot => this.#parts.activity.activeIn(slot))
  }

  suspectSegments(): number[] {
    return this.#segments(slot => this.#parts.banks[bankOf(slot)]!.suspect[indexOf(slot)]!)
  }

  trustSegments(segments: readonly number[]): Promise<void> {
    for (const segment of segments) {
      const slot = this.map.slots[Math.floor(segment / SEGMENTS_PER_SLOT)] ?? NO_SLOT
      if (slot !== NO_SLOT) endDoubt(this.#parts, slot, segment % SEGMENTS_PER_SLOT)
    }
    return Promise.resolve()
  }

  async regionsSince(since: number, from: number, atMost: number): Promise<number[]> {
    // What is being given back is there until it is not: whoever copies to this brick builds on the answer.
    await this.map.freeing
    return this.#counted(() => this.#stamps.since(this.map, since, from, atMost))
  }

  stampActive(generation: number): Promise<void> {
    return this.#counted(() => this.#stamps.raiseActive(this.map, generation))
  }

  raiseStamp(region: number, stamp: number): Promise<void> {
    return this.#counted(() => this.#stamps.raise(this.map, region, stamp))
  }

  digestRegions(firstRegion: number, count: number): Promise<RegionDigest[]> {
    return this.#counted(() => this.#entries.digests(this.map, firstRegion, count))
  }

  blockEntries(region: number): Promise<Uint32Array> {
    return this.#counted(() => this.#entries.entries(this.map, region))
  }

  copyIn(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<BlockStatus> {
    return this.#counted(() => this.#copies.copyIn(this.map, offsetBytes, lengthBytes, from, at, stamp))
  }

  trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    return this.#counted(async () => {
      const { map } = this
      if (offsetBytes + lengthBytes > map.sizeBytes) return BlockStatus.outOfRange
      const status = await this.#rooms.zeroing.run(map, offsetBytes, lengthBytes, false, stamp)
      if (status !== BlockStatus.ok) return status
      const last = Math.floor((offsetBytes + lengthBytes - 1) / REGION_BYTES)
      for (let region = Math.floor(offsetBytes / REGION_BYTES); region <= last; region++) {
        await this.#stamps.raise(map, region, stamp)
      }
      return BlockStatus.ok
    })
  }

  markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    return this.#counted(() => this.#copies.markBad(this.map, offsetBytes, lengthBytes, stamp))
  }

  repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus> {
    return this.copyIn(offsetBytes, lengthBytes, from, at, 0)
  }

  async freeRanges(ranges: readonly number[]): Promise<void> {
    const freed = new Set(ranges)
    const isFreed = (extent: number) => freed.has(Math.floor(extent / EXTENTS_PER_RANGE))
    if (!(await this.#rooms.deletion.free(this.map, isFreed)))
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
  }

  #segments(bitsOf: (slot: number) => number): number[] {
    const found: number[] = []
    for (const [extent, slot] of this.map.slots.entries()) {
      const bits = slot === NO_SLOT ? 0 : bitsOf(slot)
      for (let segment = 0; bits >>> segment !== 0; segment++) {
        if ((bits >>> segment) & 1) found.push(extent * SEGMENTS_PER_SLOT + segment)
      }
    }
    return found
  }

  async #counted<T>(run: () => Promise<T>): Promise<T> {
    const began = this.map.inFlight.begin()
    try {
      return await run()
    } finally {
      this.map.inFlight.end(began)
    }
  }
}
