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

interface Deletion {
  readonly ended: Promise<void>
  readonly progress: ((freedBytes: number) => void)[]
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
  readonly #deletions = new Map<string, Deletion>()
  #closed = false

  constructor(opened: OpenedParts) {
    this.uuid = opened.uuid
    this.clusterId = opened.clusterId
    this.openCounter = opened.openCounter
    this.#opened = opened
    this.#parts = opened.rooms.parts
    this.#maps = opened.maps
    this.replicas = new BrickReplicas(this, this.#parts, uuid => this.#find(uuid))
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
    const deletion = this.#deletions.get(uuid) ?? this.#beginDeletion(map)
    if (progress !== undefined) deletion.progress.push(progress)
    await deletion.ended
  }

  /** One at a time: whoever asks again, after a restart or by another daemon, waits for the one that is under way. */
  #beginDeletion(map: VolumeMap): Deletion {
    const progress: Deletion['progress'] = []
    const ended = this.#delete(map, freedBytes => {
      for (const tell of progress) tell(freedBytes)
    }).finally(() => this.#deletions.delete(map.uuid))
    const deletion = { ended, progress }
    this.#deletions.set(map.uuid, deletion)
    return deletion
  }

  async #delete(map: VolumeMap, progress: (freedBytes: number) => void): Promise<void> {
    await this.#parts.catalogue.markDeleting(map.uuid)
    this.#volumes.delete(map.uuid)
    // Nothing begins any more; what has begun still finds its place.
    map.sizeBytes = 0
    if (await this.#opened.rooms.deletion.run(map, progress)) this.#maps.delete(map.uuid)
  }

  #resumeDeletions(): void {
    for (const [uuid, { deleting }] of this.#parts.catalogue.volumes()) {
      const map = this.#maps.get(uuid)
      if (!deleting || map === undefined) continue
      map.sizeBytes = 0
      this.#beginDeletion(map).ended.catch(error =>
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

  /** A clean stop: everything durable, and where nobody else has a copy every segment clean but those in doubt. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.stopScrub()
    this.#opened.rooms.deletion.stop()
    await Promise.allSettled([...this.#deletions.values()].map(({ ended }) => ended))
    // What finds its files closed takes the brick for failed.
    await Promise.all([...this.#maps.values()].map(({ inFlight }) => inFlight.begunHaveEnded()))
    try {
      if (this.#parts.failure.error === null) await this.#stopCleanly()
    } finally {
      await this.#opened.close()
    }
  }

  async #stopCleanly(): Promise<void> {
    const { activity, catalogue } = this.#parts
    const places: { slot: number; segment: number }[] = []
    let cleanStop = true
    for (const map of this.#maps.values()) {
      for (const slot of map.slots) {
        if (slot === NO_SLOT) continue
        const questionable = questionableIn(this.#parts, slot)
        if (questionable !== 0) cleanStop = false
        // What others may have or lack stays active until their owner orders otherwise. PROTOCOL rule 11.
        if (!map.standsAlone) continue
        const clearable = activity.activeIn(slot) & ~questionable & ALL_SEGMENTS
        for (let segment = 0; segment < SEGMENTS_PER_SLOT; segment++) {
          if ((clearable >>> segment) & 1) places.push({ slot, segment })
        }
      }
    }
    try {
      await this.#opened.rooms.clearing.clearPlaces(places)
      await catalogue.putBrick({ cleanStop })
    } catch (error) {
      // The failure was told when it happened; the segments stay active, which is what counts.
      if (this.#parts.failure.error === null) throw error
    }
  }
}

function notFound(volume: string, brick: string): HoldfastError {
  return new HoldfastError('ERR_VOLUME_NOT_FOUND', `brick ${brick} has no descriptor of volume ${volume}`)
}
