import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Brick, VolumeExtents } from '../store/brick.ts'
import { alignUp } from './block-alignment.ts'
import { OwnedVolume, type VolumeState } from './owned-volume.ts'
import { Reservations } from './reservations.ts'
import { Sanitization } from './sanitize/sanitization.ts'
import { SEGMENT_QUIET_MS } from './segment-keeper.ts'
import type { StateStorage } from './state-storage.ts'
import type { VolumeLimits } from './throttle/volume-limits.ts'
import type { ThrottleTimers } from './throttle/volume-throttle.ts'
import type { VolumeSpace } from './volume-space.ts'

/** How often quiet segments are looked for. */
const CLEAR_EVERY_MS = 5_000

/** What the host needs to know of a volume; a record of the catalogue has this shape. */
export interface HostedVolume {
  readonly name: string
  readonly uuid: string
  readonly sizeBytes: number
  readonly blockSizeBytes: 512 | 4096
  readonly readOnly: boolean
  readonly removable: boolean
  /** 32 hex digits. */
  readonly naa: string
  readonly limits: VolumeLimits
  readonly epoch: number
  readonly generation: number
  readonly setVersion: number
}

export interface VolumeHostOptions {
  readonly brick: Brick
  readonly reservationStorage: (volume: HostedVolume) => StateStorage
  readonly sanitizeStorage: (volume: HostedVolume) => StateStorage
  /** What an overwriting sanitize writes at most to one volume. */
  readonly sanitizeBytesPerSecond: number
  /** Milliseconds of the clock that the brick stamps its segments with. */
  readonly nowMs: () => number
  readonly throttleTimers: ThrottleTimers
  /** A clear failed: the brick has told why already, the segments stay active. */
  readonly clearFailed: (volume: string, error: unknown) => void
}

/** A volume that is served from the brick of this daemon. */
export class HostedOwnedVolume extends OwnedVolume {
  readonly usedBytes: () => number
  readonly #timers: ThrottleTimers
  readonly #closed: () => void

  constructor(
    volume: HostedVolume,
    extents: VolumeExtents,
    state: VolumeState,
    timers: ThrottleTimers,
    closed: () => void,
  ) {
    super({ ...volume, naa: Buffer.from(volume.naa, 'hex') }, extents, state)
    this.usedBytes = () => extents.usedBytes
    this.#timers = timers
    this.#closed = closed
    this.limit(volume.limits, timers)
  }

  /** Takes over size, write protection and limits of a newer record. */
  apply(volume: HostedVolume): void {
    this.grow(volume.sizeBytes)
    this.setReadOnly(volume.readOnly)
    this.limit(volume.limits, this.#timers)
  }

  override async close(): Promise<void> {
    await super.close()
    this.#closed()
  }
}

/** The space of a volume that lives on one brick. */
class BrickSpace implements VolumeSpace {
  readonly #brick: Brick
  readonly #extents: VolumeExtents

  constructor(brick: Brick, extents: VolumeExtents) {
    this.#brick = brick
    this.#extents = extents
  }

  get usedBytes(): number {
    return this.#extents.usedBytes
  }

  get availableBytes(): number {
    const { limitBytes, usedBytes } = this.#brick.capacity
    return Math.max(0, limitBytes - usedBytes)
  }

  get scarceBelowBytes(): number {
    const { limitBytes, warnAtBytes } = this.#brick.capacity
    return limitBytes - warnAtBytes
  }
}

/** Opens volumes on one brick, owns them, and orders their quiet segments to be cleared. */
export class VolumeHost implements AsyncDisposable {
  readonly #options: VolumeHostOptions
  readonly #open = new Map<string, HostedOwnedVolume>()
  /** Opened before in this process: opening again is not a loss of power to its reservations. */
  readonly #seen = new Set<string>()
  readonly #timer: NodeJS.Timeout
  readonly #stopWatching: () => void

  constructor(options: VolumeHostOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.clearQuietSegments(SEGMENT_QUIET_MS), CLEAR_EVERY_MS)
    this.#timer.unref()
    this.#stopWatching = options.brick.capacity.watch(() => {
      for (const volume of this.#open.values()) volume.spaceChanged()
    })
  }

  get volumes(): Iterable<OwnedVolume> {
    return this.#open.values()
  }

  createVolume(volume: HostedVolume): Promise<void> {
    const { uuid, epoch, setVersion } = volume
    return this.#options.brick.createVolume({ uuid, sizeBytes: alignUp(volume.sizeBytes), epoch, setVersion })
  }

  async openVolume(volume: HostedVolume): Promise<HostedOwnedVolume> {
    const extents = await this.#options.brick.openVolume(volume.uuid)
    extents.generation = volume.generation
    const reservations = new Reservations(this.#options.reservationStorage(volume))
    await reservations.load({ afterPowerLoss: !this.#seen.has(volume.uuid) })
    this.#seen.add(volume.uuid)
    const space = new BrickSpace(this.#options.brick, extents)
    const sanitization = new Sanitization({
      storage: this.#options.sanitizeStorage(volume),
      bytesPerSecond: this.#options.sanitizeBytesPerSecond,
    })
    await sanitization.load()
    const state = { reservations, sanitization, space }
    const opened = new HostedOwnedVolume(volume, extents, state, this.#options.throttleTimers, () =>
      this.#open.delete(volume.uuid),
    )
    sanitization.resume(client => opened.open(client))
    this.#open.set(volume.uuid, opened)
    return opened
  }

  /** There is one brick, and it has the volume. */
  async addReplicas(): Promise<void> {}

  growVolume(volume: HostedVolume): Promise<void> {
    return this.#options.brick.growVolume(volume.uuid, alignUp(volume.sizeBytes))
  }

  async deleteVolume(volume: HostedVolume, progress: (freedBytes: number) => void): Promise<void> {
    try {
      await this.#options.brick.deleteVolume(volume.uuid, progress)
    } catch (error) {
      // A deletion that a crash interrupted is repeated: nothing left here is what was asked for.
      if (!(error instanceof HoldfastError && error.code === 'ERR_VOLUME_NOT_FOUND')) throw error
    }
  }

  usedOnBricks(uuid: string): number[] {
    return [this.#open.get(uuid)?.usedBytes() ?? 0]
  }

  /** Clears, in every open volume, what has had no write for `quietMs`. */
  async clearQuietSegments(quietMs: number, atMost?: number): Promise<void> {
    const since = this.#options.nowMs() - quietMs
    for (const volume of this.#open.values()) {
      try {
        await volume.segments.clearQuiet(since, atMost)
      } catch (error) {
        this.#options.clearFailed(volume.name, error)
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#stopWatching()
    await Promise.all([...this.#open.values()].map(volume => volume.close()))
  }
}
