import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import { type Cluster, checkInBrick, joinCluster } from '../control/cluster.ts'
import { reservationStorage } from '../control/reservation-storage.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { lockDirectory } from '../lib/directory-lock.ts'
import type { Log } from '../lib/log.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Brick } from '../store/brick.ts'
import { openBrick } from '../store/open-brick.ts'
import { VolumeHost } from '../volume/volume-host.ts'
import type { Closers } from './closers.ts'

/** The peer of a daemon with one brick; its directory has the same name. */
const PEER_ID = 'peer-1'

export interface Storage {
  readonly metadata: MetadataStore
  readonly cluster: Cluster
  readonly brick: Brick
  readonly host: VolumeHost
}

/**
 * Opens what lies in the data directory, made if it is not there: DIR/metadata and DIR/peer-1. Rejects with
 * ERR_DATA_LOCKED when another daemon has it. `closers` close what was opened, also after a failure.
 */
export async function openStorage(config: Config, log: Log, closers: Closers): Promise<Storage> {
  await makeDirectory(config.data)
  const lock = lockDirectory(
    config.data,
    why => new HoldfastError('ERR_DATA_LOCKED', `the data directory ${config.data} is in use: ${why}`),
  )
  closers.add('lock', () => lock.release())
  const metadata = await openEmbeddedStore({ directory: join(config.data, 'metadata') })
  closers.add('metadata', () => metadata[Symbol.asyncDispose]())
  const addresses = [...config.advertiseIscsi, ...config.iscsi.listen.slice(config.advertiseIscsi.length)]
  const cluster = await joinCluster(metadata, {
    id: PEER_ID,
    addresses: addresses.map(formatHostPort),
    labels: config.label,
  })
  const brick = await openBrick({
    directory: join(config.data, PEER_ID),
    clusterId: cluster.clusterId,
    ...(config.capacity === null ? {} : { capacityBytes: config.capacity }),
    ...(config.store.dirtyCap === null ? {} : { dirtyCapBytes: config.store.dirtyCap }),
    checksumCacheBytes: config.store.checksumCache,
  })
  closers.add('brick', () => brick[Symbol.asyncDispose]())
  await checkInBrick(metadata, brick, PEER_ID)
  const host = new VolumeHost({
    brick,
    reservationStorage: volume => reservationStorage(metadata, volume),
    nowMs: () => performance.now(),
    clearFailed: (volume, err) => log.warn({ volume, err }, 'quiet segments could not be cleared'),
  })
  closers.add('volumes', () => host[Symbol.asyncDispose]())
  return { metadata, cluster, brick, host }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new HoldfastError(
      'ERR_CONFIG_INVALID',
      `the data directory ${directory} cannot be made: ${reason}`,
      {
        cause: error,
      },
    )
  }
}
