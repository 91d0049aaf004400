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
  /** By uuid the last epoch before a loss of power: for its reservations only whoever owns the next one is after it. */
  readonly #lostPower: Map<string, number>

  /** `lostPower`: epochs of the volumes that nobody had been serving when this process started. */
  constructor(metadata: MetadataStore, config: Config, lostPower: ReadonlyMap<string, number>) {
    this.#metadata = metadata
    this.#config = config
    this.#lostPower = new Map(lostPower)
  }

  async open(owned: OwnedHere, brick: Brick): Promise<VolumeState> {
    const { name, uuid, epoch, extents } = owned
    const stored = { name, uuid, epoch }
    const reservations = new Reservations(reservationStorage(this.#metadata, stored))
    await this.#load(reservations, uuid, epoch)
    const sanitization = new Sanitization({
      storage: sanitizeStorage(this.#metadata, stored),
      bytesPerSecond: this.#config.store.sanitizeBandwidth,
    })
    await sanitization.load()
    return { reservations, sanitization, space: spaceOf(brick, () => extents.usedBytes) }
  }

  /** An epoch beyond the next one tells of an owner in between, whose registrations still hold. */
  async #load(reservations: Reservations, uuid: string, epoch: number): Promise<void> {
    const afterPowerLoss = this.#lostPower.get(uuid) === epoch - 1
    this.#lostPower.delete(uuid)
    try {
      await reservations.load({ afterPowerLoss })
    } catch (error) {
      // Nobody was served in this epoch: the loss is still to be told.
      if (afterPowerLoss) this.#lostPower.set(uuid, epoch)
      throw error
    }
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
