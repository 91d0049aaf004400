import { reservationStorage } from '../../../src/control/volume-state-storage.ts'
import type { MetadataStore } from '../../../src/metadata/metadata-store.ts'
import type { OwnedHere } from '../../../src/replication/replication.ts'
import type { VolumeState } from '../../../src/volume/owned-volume.ts'
import { Reservations } from '../../../src/volume/reservations.ts'
import { Sanitization } from '../../../src/volume/sanitize/sanitization.ts'
import type { StateStorage, StoredState } from '../../../src/volume/state-storage.ts'
import { AMPLE_SPACE } from '../../../src/volume/volume-space.ts'

function memoryStorage(): StateStorage {
  let stored: StoredState | null = null
  return {
    load: async () => stored,
    save: async (next, previousToken) => {
      stored = { bytes: next, token: previousToken + 1n }
      return stored.token
    },
  }
}

/** Reservations that nobody makes, and no sanitize operation. */
export function plainVolumeState(): VolumeState {
  return volumeState(new Reservations(memoryStorage()))
}

/** Reservations as the cluster keeps them: loaded by each new owner, as the daemon does it. */
export async function reservedVolumeState(
  metadata: MetadataStore,
  { name, uuid, epoch }: OwnedHere,
): Promise<VolumeState> {
  const reservations = new Reservations(reservationStorage(metadata, { name, uuid, epoch }))
  await reservations.load({ afterPowerLoss: false })
  return volumeState(reservations)
}

function volumeState(reservations: Reservations): VolumeState {
  return {
    reservations,
    sanitization: new Sanitization({ storage: memoryStorage(), bytesPerSecond: Number.POSITIVE_INFINITY }),
    space: AMPLE_SPACE,
  }
}
