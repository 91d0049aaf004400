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

/** Reservations that nobody makes and no sanitize operation: clients of the simulator share their volumes. */
export function plainVolumeState(): VolumeState {
  return {
    reservations: new Reservations(memoryStorage()),
    sanitization: new Sanitization({ storage: memoryStorage(), bytesPerSecond: Number.POSITIVE_INFINITY }),
    space: AMPLE_SPACE,
  }
}
