import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { formatHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import { type Cluster, checkInBrick, joinCluster } from '../control/cluster.ts'
import { decodeValue, keys } from '../control/layout.ts'
import { reservationStorage, sanitizeStorage } from '../control/volume-state-storage.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { type DirectoryLock, lockDirectory } from '../lib/directory-lock.ts'
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
  const lock = await lockData(config.data)
  closers.add('lock', () => lock.release())
  const metadata = await openEmbeddedStore({ directory: join(config.data, 'metadata') })
  closers.add('metadata', () => metadata[Symbol.asyncDispose]())
  const addresses = [...config.advertiseIscsi, ...config.iscsi.listen.slice(config.advertiseIscsi.length)]
  const cluster = await joinCluster(metadata, {
    id: PEER_ID,
    addresses: addresses.map(formatHostPort),
    labels: config.label,
  })
  // Where segments are over the target, the least recently written eighth is cleared; quiet ones go anyway.
  let host: VolumeHost | null = null
  const brick = await openBrick({
    directory: join(config.data, PEER_ID),
    clusterId: cluster.clusterId,
    // A brick that the metadata knows and the disk has not is lost: an empty one must not take its place.
    create: !(await knowsBrick(metadata)),
    ...(config.capacity === null ? {} : { limitBytes: config.capacity }),
    ...(config.store.dirtyCap === null ? {} : { dirtyCapBytes: config.store.dirtyCap }),
    checksumCacheBytes: config.store.checksumCache,
    notice: ({ level, message, fields }) => log[level](fields, message),
    aboveActiveTarget: active => void host?.clearQuietSegments(0, Math.ceil(active / 8)),
    metadataOpenCounter: opened => checkInBrick(metadata, opened, PEER_ID),
  })
  closers.add('brick', () => brick[Symbol.asyncDispose]())
  host = new VolumeHost({
    brick,
    reservationStorage: volume => reservationStorage(metadata, volume),
    sanitizeStorage: volume => sanitizeStorage(metadata, volume),
    sanitizeBytesPerSecond: config.store.sanitizeBandwidth,
    // The brick's clock.
    nowMs: Date.now,
    clearFailed: (volume, err) => log.warn({ volume, err }, 'quiet segments could not be cleared'),
  })
  const opened = host
  closers.add('volumes', () => opened[Symbol.asyncDispose]())
  return { metadata, cluster, brick, host }
}

async function knowsBrick(metadata: MetadataStore): Promise<boolean> {
  const { entries } = await metadata.range(keys.brick(''))
  return entries.some(({ key, value }) => decodeValue('brick', key, value).peer === PEER_ID)
}

/** Makes the data directory where it is missing. */
async function lockData(directory: string): Promise<DirectoryLock> {
  try {
    await mkdirWithParents(resolve(directory))
    return lockDirectory(
      directory,
      why => new HoldfastError('ERR_DATA_LOCKED', `the data directory ${directory} is in use: ${why}`),
    )
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const reason = (error as NodeJS.ErrnoException).code
    const message = `the data directory ${directory} cannot be used: ${reason}`
    throw new HoldfastError('ERR_CONFIG_INVALID', message, { cause: error })
  }
}

/** Not mkdir's `recursive`, which tries for ever where a parent refuses with ENOENT, as /proc does. */
async function mkdirWithParents(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error
    await mkdirWithParents(dirname(directory))
    await mkdir(directory, { mode: 0o700 })
  }
}
