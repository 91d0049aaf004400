import type { Config } from '../config/schema.ts'
import { reservationStorage, sanitizeStorage } from '../control/volume-state-storage.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { OwnedHere } from '../replication/replication.ts'
import type { Brick } from '../store/brick.ts'
import type { VolumeState } from '../volume/owned-volume.ts'
import { Reservations } from '../volume/reservations.ts'
import { Sanitization } from '../volume/sanitize/sanitization.ts'
import type { VolumeSpace } from '../volume/volume-space.ts'

/** What the metadata keeps of a volume's state, loaded whenever it begins to be owned by this process. */
export class VolumeStates {
  readonly #metadata: MetadataStore
  readonly #config: Config
  readonly #startedAlone: () => boolean
  /** Owned before in this process: owning again is not a loss of power to its reservations. */
  readonly #seen = new Set<string>()

  /** `startedAlone`: no other daemon was up when this one started, so nobody remembers more than the disks do. */
  constructor(metadata: MetadataStore, config: Config, startedAlone: () => boolean) {
    this.#metadata = metadata
    this.#config = config
    this.#startedAlone = startedAlone
  }

  async open(owned: OwnedHere, brick: Brick): Promise<VolumeState> {
    const { name, uuid, epoch, extents } = owned
    const stored = { name, uuid, epoch }
    const reservations = new Reservations(reservationStorage(this.#metadata, stored))
    await reservations.load({ afterPowerLoss: this.#startedAlone() && !this.#seen.has(uuid) })
    this.#seen.add(uuid)
    const sanitization = new Sanitization({
      storage: sanitizeStorage(this.#metadata, stored),
      bytesPerSecond: this.#config.store.sanitizeBandwidth,
    })
    await sanitization.load()
    return { reservations, sanitization, space: spaceOf(brick, () => extents.usedBytes) }
  }
}

/** As the brick of the owner has it: what is scarce elsewhere shows when a write there is refused. */
function spaceOf(brick: Brick, usedBytes: () => number): VolumeSpace {
  return {
    get usedBytes() {
      return usedBytes()
    },
    get availableBytes() {
      return Math.max(0, brick.capacity.limitBytes - brick.capacity.usedBytes)
    },
    get scarceBelowBytes() {
      return brick.capacity.limitBytes - brick.capacity.warnAtBytes
    },
  }
}
