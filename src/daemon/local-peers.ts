import fs from 'node:fs'
import { join } from 'node:path'
import { enterCluster } from '../cluster/admission.ts'
import { readClusterFile } from '../cluster/cluster-file.ts'
import { formatHostPort } from '../config/host-port.ts'
import type { Config } from '../config/schema.ts'
import { type Cluster, checkInBrick, joinCluster, recordCapacity } from '../control/cluster.ts'
import { inSyncSets } from '../control/in-sync.ts'
import { keys, rangesOf } from '../control/layout.ts'
import { Model, noChange } from '../control/model.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Brick } from '../store/brick.ts'
import { defaultDirtyCapBytes } from '../store/dirty-cap.ts'
import { openBrick } from '../store/open-brick.ts'
import { readSuperblock } from '../store/superblock.ts'
import type { DiskWatch } from './watched-files.ts'

/** A peer of this process: who it is in the cluster, and its brick. */
export interface LocalPeer {
  readonly cluster: Cluster
  readonly brick: Brick
  readonly disk: DiskWatch
}

/** Of a data directory with metadata of its own: its peers are numbered, and so are the directories of their bricks. */
const peerId = (number: number) => `peer-${number}`

/**
 * Who this process is in the cluster. With etcd: the one peer that `cluster join` made the data directory's. Else
 * the peers of the data directory, founded with the first start; `wanted` more are added, never taken away.
 */
export async function enterPeers(
  config: Config,
  metadata: MetadataStore,
  wanted: number | null,
): Promise<Cluster[]> {
  const addresses = [
    ...config.advertiseIscsi,
    ...config.iscsi.listen.slice(config.advertiseIscsi.length),
  ].map(formatHostPort)
  if (config.etcd.urls.length > 0) return [await enterJoined(config, metadata, addresses)]
  const { entries } = await metadata.range(keys.peers)
  if (wanted !== null && wanted < entries.length) {
    const message = `${config.data} has ${entries.length} peers, and data on all of them: give --peers ${entries.length}`
    throw new HoldfastError('ERR_CONFIG_INVALID', message)
  }
  const peers: Cluster[] = []
  for (let number = 1; number <= Math.max(1, wanted ?? entries.length); number++) {
    const labels = config.label
    // One gateway: its portals are the first peer's.
    peers.push(
      await joinCluster(metadata, { id: peerId(number), addresses: number === 1 ? addresses : [], labels }),
    )
  }
  return peers
}

async function enterJoined(config: Config, metadata: MetadataStore, addresses: string[]): Promise<Cluster> {
  const file = await readClusterFile(config.data)
  if (file === null) {
    const message = `${config.data} has not joined the cluster in etcd: run holdfast cluster join`
    throw new HoldfastError('ERR_CLUSTER_NOT_JOINED', message)
  }
  if (config.peer.name !== null && config.peer.name !== file.peer) {
    throw new HoldfastError('ERR_CONFIG_INVALID', `${config.data} is that of peer '${file.peer}'`)
  }
  return enterCluster(metadata, {
    clusterId: file.clusterId,
    id: file.peer,
    addresses,
    labels: config.label,
  })
}

export interface OpenPeerBrickOptions {
  readonly config: Config
  readonly cluster: Cluster
  readonly metadata: MetadataStore
  /** Bricks that share the memory and, unless --capacity says more, the file system. */
  readonly bricks: number
  readonly log: Log
  readonly aboveActiveTarget: (activeSegments: number) => void
  /** Owners decide what becomes of blocks in doubt: others may have a good copy. */
  readonly hasOwners: boolean
  readonly disk: DiskWatch
}

/** Opens the brick of one peer, in a directory of its name, and tells the metadata of it. */
export async function openPeerBrick(options: OpenPeerBrickOptions): Promise<Brick> {
  const { config, cluster, metadata, bricks, log, aboveActiveTarget, hasOwners, disk } = options
  const { peerId: id, clusterId } = cluster
  const { capacity, store } = config
  const limitBytes = capacity ?? (bricks === 1 ? null : Math.floor(fileSystemBytes(config.data) / bricks))
  const directory = join(config.data, id)
  const brick = await openBrick({
    directory,
    clusterId,
    create: await mayMakeBrick(metadata, cluster, directory),
    ...(limitBytes === null ? {} : { limitBytes }),
    dirtyCapBytes: Math.floor((store.dirtyCap ?? defaultDirtyCapBytes()) / bricks),
    checksumCacheBytes: Math.floor(store.checksumCache / bricks),
    notice: ({ level, message, fields }) => log[level]({ ...fields, peer: id }, message),
    aboveActiveTarget,
    ...(hasOwners ? { files: disk.files() } : {}),
    blocksInDoubt: hasOwners ? 'are bad' : 'stand',
    metadataOpenCounter: opened => checkInBrick(metadata, opened, id),
  })
  await recordCapacity(metadata, id, brick.capacity.limitBytes)
  return brick
}

/**
 * A brick that the metadata knows and the disk has not is lost: an empty one must not take its place, unless the peer was
 * removed and let in again. Not even then may a volume count on what is lost.
 */
async function mayMakeBrick(metadata: MetadataStore, cluster: Cluster, directory: string): Promise<boolean> {
  const { peerId, peerNumber } = cluster
  const model = new Model()
  const read = async (prefix: string) => {
    const { entries } = await metadata.range(prefix)
    for (const entry of entries) model.apply(entry.key, entry, entry.modRevision, noChange())
  }
  for (const prefix of [keys.brick(''), keys.peers, keys.gonePeers]) await read(prefix)
  if (model.bricksOf(peerId).length === 0) return true
  if (model.peers.find(({ id }) => id === peerId)?.value.newBrick !== true) return false
  if (readSuperblock(directory) !== null) return true
  await read(keys.volumes)
  const counting = model.volumeNames.filter(name => countsOn(model, name, peerNumber))
  if (counting.length === 0) return true
  const message =
    `there is no brick in ${directory}, and ${counting.length} volume(s) count on what peer '${peerId}' had, ` +
    `such as '${counting[0]}': recover or delete them first, or join under another name`
  throw new HoldfastError('ERR_BRICK_DAMAGED', message)
}

/** The peer is in sync in some range of the volume. */
function countsOn(model: Model, name: string, peerNumber: number): boolean {
  const head = model.volume(name)
  if (head === null || head.state === 'deleting') return false
  const placement = model.placement(name).slice(0, rangesOf(head.sizeBytes))
  return inSyncSets(head, placement, model).some(set => set.includes(peerNumber))
}

function fileSystemBytes(directory: string): number {
  const { blocks, bsize } = fs.statfsSync(directory)
  return blocks * bsize
}
