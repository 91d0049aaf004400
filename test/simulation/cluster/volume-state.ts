import { BlockStatus } from '../../../src/block/block-status.ts'
import { reservationStorage, sanitizeStorage } from '../../../src/control/volume-state-storage.ts'
import type { MetadataStore } from '../../../src/metadata/metadata-store.ts'
import type { OwnedHere } from '../../../src/replication/replication.ts'
import type { VolumeState } from '../../../src/volume/owned-volume.ts'
import { Reservations } from '../../../src/volume/reservations.ts'
import { Sanitization } from '../../../src/volume/sanitize/sanitization.ts'
import type { SanitizeClock } from '../../../src/volume/sanitize/sanitize-clock.ts'
import type { StateStorage, StoredState } from '../../../src/volume/state-storage.ts'
import { AMPLE_SPACE } from '../../../src/volume/volume-space.ts'
import type { SimProcess } from '../world/sim-process.ts'
import type { DaemonParts } from './sim-peer.ts'

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

export interface StoredMetadata {
  readonly parts: DaemonParts
  /** In which what was not answered is settled. */
  readonly metadata: MetadataStore
}

/** As the cluster keeps it: loaded by each new owner, as the daemon does it. */
export async function storedVolumeState(
  { parts, metadata }: StoredMetadata,
  owned: OwnedHere,
): Promise<VolumeState> {
  const { reservations, sanitizes } = parts.world.shape
  const state = reservations ? await reservedVolumeState(parts.etcd, owned) : plainVolumeState()
  if (!sanitizes) return state
  const sanitization = new Sanitization({
    storage: sanitizeStorage(metadata, owned),
    bytesPerSecond: Number.POSITIVE_INFINITY,
    clock: clockOf(parts.process),
  })
  await sanitization.load()
  if (sanitization.refusal !== BlockStatus.ok) parts.world.tally.add('sanitize gone on with by another owner')
  return { ...state, sanitization }
}

function clockOf(process: SimProcess): SanitizeClock {
  return {
    nowMs: () => process.bootMs(),
    pause: (ms, until) =>
      new Promise(resolve => {
        process.after(ms, resolve)
        until.addEventListener('abort', () => resolve())
      }),
  }
}

async function reservedVolumeState(
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
