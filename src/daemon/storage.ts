import { readClusterFile } from '../cluster/cluster-file.ts'
import type { Config } from '../config/schema.ts'
import { reservationStorage, sanitizeStorage } from '../control/volume-state-storage.ts'
import type { Log } from '../lib/log.ts'
import { VolumeHost } from '../volume/volume-host.ts'
import { bootTimers } from './boot-timers.ts'
import type { Closers } from './closers.ts'
import { lockData } from './data-directory.ts'
import { enterPeers, type LocalPeer, openPeerBrick } from './local-peers.ts'
import { type OpenedMetadata, openMetadata } from './metadata.ts'
import { metadataAnswers } from './metadata-answers.ts'
import { DiskWatch } from './watched-files.ts'

export interface Storage {
  readonly metadata: OpenedMetadata
  /** The first one has the gateway. */
  readonly peers: readonly [LocalPeer, ...LocalPeer[]]
  /** Serves volumes from the one brick that there is; null where volumes may have replicas. */
  readonly host: VolumeHost | null
}

/**
 * Opens the metadata, and the bricks that lie in the data directory, which is made if it is not there: DIR/metadata
 * unless it is in etcd, and a directory per peer. `peers` null: as many as there are. Rejects with ERR_DATA_LOCKED
 * when another daemon has it. `closers` close what was opened, also after a failure.
 */
export async function openStorage(
  config: Config,
  peers: number | null,
  log: Log,
  closers: Closers,
): Promise<Storage> {
  const lock = await lockData(config.data)
  closers.add('lock', () => lock.release())
  const joined = await readClusterFile(config.data)
  const metadata = await openMetadata(config, joined?.peer ?? 'local')
  closers.add('metadata', () => metadata.settled[Symbol.asyncDispose]())
  const { settled } = metadata
  if (metadata.etcd !== null) await metadataAnswers({ metadata: settled, log })
  const entered = await enterPeers(config, settled, peers)
  let host: VolumeHost | null = null
  const opened: LocalPeer[] = []
  let failure: Error | null = null
  for (const cluster of entered) {
    const disk = new DiskWatch()
    const open = openPeerBrick({
      disk,
      config,
      cluster,
      metadata: settled,
      bricks: entered.length,
      log,
      hasOwners: entered.length > 1 || metadata.etcd !== null,
      // Where segments are over the target, the least recently written eighth is cleared; quiet ones go anyway. Owners
      // of volumes with replicas hear of it with their grants.
      aboveActiveTarget: active => void host?.clearQuietSegments(0, Math.ceil(active / 8)),
    })
    const brick = await open.catch((error: Error) => {
      failure ??= error
      return null
    })
    if (brick === null) continue
    closers.add(`brick of ${cluster.peerId}`, () => brick[Symbol.asyncDispose]())
    opened.push({ cluster, brick, disk })
  }
  if (failure !== null && opened.length === 0) throw failure
  if (failure !== null) log.error({ err: failure }, 'a brick cannot be used; its peer stays away')
  const [first, ...rest] = opened as [LocalPeer, ...LocalPeer[]]
  if (entered.length === 1 && metadata.etcd === null) {
    host = openVolumeHost(config, first, metadata, log)
    const made = host
    closers.add('volumes', () => made[Symbol.asyncDispose]())
  }
  return { metadata, peers: [first, ...rest], host }
}

function openVolumeHost(
  config: Config,
  { brick }: LocalPeer,
  { settled }: OpenedMetadata,
  log: Log,
): VolumeHost {
  return new VolumeHost({
    brick,
    reservationStorage: volume => reservationStorage(settled, volume),
    sanitizeStorage: volume => sanitizeStorage(settled, volume),
    sanitizeBytesPerSecond: config.store.sanitizeBandwidth,
    // The brick's clock.
    nowMs: Date.now,
    throttleTimers: bootTimers,
    clearFailed: (volume, err) => log.warn({ volume, err }, 'quiet segments could not be cleared'),
  })
}
