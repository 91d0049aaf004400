import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import { decodeValue, keys } from './layout.ts'

const ATTEMPTS_MAX = 16

/** What src/volume stores a part of a volume's state in; the bytes carry their own magic and version. */
export interface VolumeStateStorage {
  load(): Promise<{ readonly bytes: Buffer; readonly token: bigint } | null>
  save(next: Buffer, previousToken: bigint): Promise<bigint>
}

interface StoredVolume {
  readonly name: string
  readonly uuid: string
  readonly epoch: number
}

/** A volume's reservations, at v/<vol>/pr. */
export function reservationStorage(store: MetadataStore, volume: StoredVolume): VolumeStateStorage {
  return stateStorage(store, volume, keys.reservations(volume.name))
}

/** That a volume is being sanitized, at v/<vol>/sz. */
export function sanitizeStorage(store: MetadataStore, volume: StoredVolume): VolumeStateStorage {
  return stateStorage(store, volume, keys.sanitize(volume.name))
}

/**
 * A part of a volume's state at a key of its own. A token is the key's modRevision. save() rejects with
 * ERR_METADATA_CONFLICT when somebody else saved meanwhile, or when this is no longer the volume of that uuid
 * at that epoch (PROTOCOL rule 19: a former owner must not change them).
 */
function stateStorage(store: MetadataStore, volume: StoredVolume, key: string): VolumeStateStorage {
  const headKey = keys.head(volume.name)
  return {
    async load() {
      const entry = await store.get(key)
      return entry === null ? null : { bytes: entry.value, token: entry.modRevision }
    },
    async save(next, previousToken) {
      for (let tries = 0; tries < ATTEMPTS_MAX; tries++) {
        const entry = await store.get(headKey)
        const head = entry === null ? null : decodeValue('volume', headKey, entry.value)
        if (entry === null || head?.uuid !== volume.uuid || head.epoch !== volume.epoch) break
        const { succeeded, revision, found } = await store.transact({
          compare: [
            { key: headKey, target: 'modRevision', is: '=', value: entry.modRevision },
            { key, target: 'modRevision', is: '=', value: previousToken },
          ],
          success: [{ do: 'put', key, value: next }],
          failure: [{ do: 'get', key }],
        })
        if (succeeded) return revision
        // Only the head changed, by a resize for example: that does not concern this.
        if ((found[0]?.modRevision ?? 0n) !== previousToken) break
      }
      throw new HoldfastError(
        'ERR_METADATA_CONFLICT',
        `the state of volume '${volume.name}' was changed by somebody else, or it is no longer ours`,
      )
    },
  }
}
