import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type { OwnedHere, Replication } from '../../../src/replication/replication.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import { OwnedVolume } from '../../../src/volume/owned-volume.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import type { Front } from './front.ts'
import { plainVolumeState, type StoredMetadata, storedVolumeState } from './volume-state.ts'

interface Served {
  readonly owned: OwnedHere
  readonly volume: OwnedVolume
  readonly handles: Map<string, VolumeHandle>
}

/** Clients come to the owner of their volume and to nobody else: less happens, so that a seed is soon through. */
export class OwnerFront implements Front {
  readonly #served = new Map<string, Served>()
  readonly #stored: StoredMetadata
  #replication: Replication | null = null

  constructor(stored: StoredMetadata) {
    this.#stored = stored
  }

  join(replication: Replication): Replication['handler'] {
    this.#replication = replication
    return replication.handler
  }

  async login(name: string, client: ClientIdentity): Promise<VolumeHandle> {
    const served = this.#served.get(name)
    if (served === undefined) {
      // The first gateway that a client asks for an orphan becomes its owner.
      this.#replication!.want(name)
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    }
    const key = JSON.stringify(client)
    await served.handles.get(key)?.close()
    const handle = served.volume.open(client)
    served.handles.set(key, handle)
    return handle
  }

  /** Only where clients come to gateways: Shape. */
  reserve(): Promise<never> {
    return Promise.reject(new HoldfastError('ERR_BLOCK_UNAVAILABLE'))
  }

  sanitize(name: string, order: SanitizeOrder): Promise<boolean> {
    const served = this.#served.get(name)
    if (served === undefined) return Promise.reject(new HoldfastError('ERR_BLOCK_UNAVAILABLE'))
    return served.volume.sanitization.start(order)
  }

  ownedVolume(name: string): OwnedVolume | null {
    return this.#served.get(name)?.volume ?? null
  }

  async begin(owned: OwnedHere): Promise<void> {
    const description = { ...owned.head, sizeBytes: owned.sizeBytes, name: owned.name, naa: Buffer.alloc(16) }
    const { sanitizes } = this.#stored.parts.world.shape
    const state = sanitizes ? await storedVolumeState(this.#stored, owned) : plainVolumeState()
    const volume = new OwnedVolume(description, owned.extents, state, owned.queue)
    state.sanitization.resume(client => volume.open(client))
    this.#served.set(owned.name, { owned, volume, handles: new Map() })
  }

  changed(owned: OwnedHere): void {
    const volume = this.#served.get(owned.name)?.volume
    volume?.grow(Math.max(owned.sizeBytes, volume.sizeBytes))
  }

  follow(): void {}

  lost(): void {}

  async end(owned: OwnedHere): Promise<void> {
    const served = this.#served.get(owned.name)
    if (served?.owned !== owned) return
    this.#served.delete(owned.name)
    await served.volume.close()
  }
}
