import { HoldfastError } from '../errors/holdfast-error.ts'
import { invariant } from '../lib/invariant.ts'
import type { Brick, BrickCounters, ScrubProgress, VolumeExtents, WatchedCapacity } from './brick.ts'
import type { BrickParts } from './brick-parts.ts'
import type { BrickScrubs } from './brick-scrubs.ts'
import { questionableIn } from './doubt.ts'
import { ALL_SEGMENTS, SEGMENTS_PER_SLOT } from './layout.ts'
import { BrickReplicas } from './replica/brick-replicas.ts'
import { StoredReplica } from './replica/stored-replica.ts'
import type { VolumeRooms } from './volume-extents.ts'
import { type MapOptions, NO_SLOT, VolumeMap } from './volume-map.ts'

export interface OpenedParts {
  readonly uuid: string
  readonly clusterId: string
  readonly openCounter: number
  readonly rooms: VolumeRooms
  readonly mapOptions: MapOptions
  readonly scrubs: BrickScrubs
  readonly maps: Map<string, VolumeMap>
  /** Segments whose state after a reboot is not known yet. */
  readonly isCold: () => boolean
  /** Closes threads, files, catalogue and lock. */
  readonly close: () => Promise<void>
}

/** See Brick. */
export class OpenedBrick implements Brick {
  readonly uuid: string
  readonly clusterId: string
  readonly openCounter: number
  readonly replicas: BrickReplicas
  readonly #opened: OpenedParts
  readonly #parts: BrickParts
  readonly #maps: Map<string, VolumeMap>
  readonly #volumes = new Map<string, StoredReplica>()
  readonly #deletions = new Set<Promise<void>>()
  #closed = false

  constructor(opened: OpenedParts) {
    this.uuid = opened.uuid
    this.clusterId = opened.clusterId
    this.openCounter = opened.openCounter
    this.#opened = opened
    this.#parts = opened.rooms.parts
    this.#maps = opened.maps
    this.replicas = new BrickReplicas(this, uuid => this.#find(uuid))
    this.#resumeDeletions()
  }

  get state(): 'warm' | 'cold' {
    return this.#opened.isCold() ? 'cold' : 'warm'
  }

  get failure(): Error | null {
    return this.#parts.failure.error
  }

  get capacity(): WatchedCapacity {
    return this.#parts.capacity
  }

  get counters(): BrickCounters {
    return this.#parts.counters
  }

  async createVolume(volume: {
    uuid: string
    sizeBytes: number
    epoch: number
    setVersion: number
  }): Promise<void> {
    const known = this.#parts.catalogue.volume(volume.uuid)
    const sizeBytes = Math.max(volume.sizeBytes, known?.sizeBytes ?? 0)
    await this.#parts.catalogue.putVolume(volume.uuid, { ...volume, sizeBytes })
    const map = this.#maps.get(volume.uuid)
    if (map === undefined)
      this.#maps.set(volume.uuid, new VolumeMap(volume.uuid, sizeBytes, this.#opened.mapOptions))
    else if (map.sizeBytes < sizeBytes) map.resize(sizeBytes)
    this.#volumes.get(volume.uuid)?.descriptorRaised(volume)
  }

  async growVolume(uuid: string, sizeBytes: number): Promise<void> {
    const descriptor = this.#parts.catalogue.volume(uuid)
    if (descriptor === undefined || descriptor.deleting) throw notFound(uuid, this.uuid)
    if (sizeBytes < descriptor.sizeBytes) throw new HoldfastError('ERR_VOLUME_SHRINK')
    await this.createVolume({ uuid, sizeBytes, epoch: descriptor.epoch, setVersion: descriptor.setVersion })
  }

  async deleteVolume(uuid: string, progress?: (freedBytes: number) => void): Promise<void> {
    const map = this.#maps.get(uuid)
    if (map === undefined) return
    await this.#parts.catalogue.markDeleting(uuid)
    this.#volumes.delete(uuid)
    map.sizeBytes = 0
    await this.#track(this.#delete(map, progress))
  }

  async #delete(map: VolumeMap, progress?: (freedBytes: number) => void): Promise<void> {
    if (await this.#opened.rooms.deletion.run(map, progress)) this.#maps.delete(map.uuid)
  }

  #track(deletion: Promise<void>): Promise<void> {
    this.#deletions.add(deletion)
    return deletion.finally(() => this.#deletions.delete(deletion))
  }

  #resumeDeletions(): void {
    for (const [uuid, { deleting }] of this.#parts.catalogue.volumes()) {
      const map = this.#maps.get(uuid)
      if (!deleting || map === undefined) continue
      map.sizeBytes = 0
      this.#track(this.#delete(map)).catch(error =>
        this.#parts.failure.set('going on with a deletion', error),
      )
    }
  }

  volumes(): readonly string[] {
    return this.#parts.catalogue.volumes().flatMap(([uuid, { deleting }]) => (deleting ? [] : [uuid]))
  }

  openVolume(uuid: string): Promise<VolumeExtents> {
    const volume = this.#find(uuid)
    return volume === null ? Promise.reject(notFound(uuid, this.uuid)) : Promise.resolve(volume)
  }

  #find(uuid: string): StoredReplica | null {
    const opened = this.#volumes.get(uuid)
    if (opened !== undefined) return opened
    const descriptor = this.#parts.catalogue.volume(uuid)
    const map = this.#maps.get(uuid)
    if (descriptor === undefined || descriptor.deleting || map === undefined) return null
    const { sizeBytes: _, deleting: __, ...rest } = descriptor
    const volume = new StoredReplica(map, this.#opened.rooms, rest)
    this.#volumes.set(uuid, volume)
    return volume
  }

  startScrub(options: { bytesPerSecond?: number } = {}): void {
    invariant(!this.#closed, 'an open brick is scrubbed')
    this.#opened.scrubs.start(options.bytesPerSecond)
  }

  stopScrub(): Promise<void> {
    return this.#opened.scrubs.stop()
  }

  get scrub(): ScrubProgress | null {
    return this.#opened.scrubs.progress
  }

  /** A clean stop: everything durable, every segment clean but those in doubt. No operation is in flight. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.stopScrub()
    this.#opened.rooms.deletion.stop()
    await Promise.allSettled(this.#deletions)
    try {
      if (this.#parts.failure.error === null) await this.#stopCleanly()
    } finally {
      await this.#opened.close()
    }
  }

  async #stopCleanly(): Promise<void> {
    const { activity, catalogue } = this.#parts
    const places: { slot: number; segment: number }[] = []
    for (const map of this.#maps.values()) {
      for (const slot of map.slots) {
        if (slot === NO_SLOT) continue
        const clearable = activity.activeIn(slot) & ~questionableIn(this.#parts, slot) & ALL_SEGMENTS
        for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
          if ((clearable >>> segment) & 1) places.push({ slot, segment })
        }
      }
    }
    try {
      await this.#opened.rooms.clearing.clearPlaces(places)
      await catalogue.putBrick({ cleanStop: true })
    } catch (error) {
      // The failure was told when it happened; the segments stay active, which is what counts.
      if (this.#parts.failure.error === null) throw error
    }
  }
}

function notFound(volume: string, brick: string): HoldfastError {
  return new HoldfastError('ERR_VOLUME_NOT_FOUND', `brick ${brick} has no descriptor of volume ${volume}`)
}
