import { decodeValue, encodeValue, keys } from '../control/layout.ts'
import type { KnownEpoch, ServedVolume, VolumeHost } from '../control/ports.ts'
import type { VolumeRecord } from '../control/records.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { PeerNetwork } from '../replication/peer-network.ts'
import type { ReplicatedVolume, Replication } from '../replication/replication.ts'
import type { Brick } from '../store/brick.ts'
import { alignUp } from '../volume/block-alignment.ts'
import { linksUp } from './links-up.ts'

/** A new volume waits so long for a peer that is just being connected to. */
const LINK_MS_MAX = 3000

export interface ReplicatedHostOptions {
  readonly network: PeerNetwork
  readonly metadata: MetadataStore
  readonly gateway: Gateway
  readonly replication: Replication
  /** Those of this process. */
  readonly bricks: readonly Brick[]
  readonly log: Log
}

/** Volumes on the bricks of the peers that they are placed on, served through this daemon's gateway. */
export class ReplicatedHost implements VolumeHost {
  readonly #options: ReplicatedHostOptions

  constructor(options: ReplicatedHostOptions) {
    this.#options = options
  }

  async createVolume(record: VolumeRecord): Promise<void> {
    const volume = await this.#replicated(record)
    await linksUp(this.#options.network, volume.peers, LINK_MS_MAX)
    await this.#options.replication.createVolume(volume)
  }

  async openVolume(record: VolumeRecord): Promise<ServedVolume> {
    return this.#options.gateway.open({ ...record, naa: Buffer.from(record.naa, 'hex') })
  }

  async addReplicas(record: VolumeRecord, peers: readonly number[]): Promise<void> {
    const { network, replication } = this.#options
    await linksUp(network, peers, LINK_MS_MAX)
    await replication.createVolume(replicatedOn(record, peers))
  }

  async growVolume(record: VolumeRecord): Promise<void> {
    const { replication, log } = this.#options
    try {
      await replication.growVolume(await this.#replicated(record))
    } catch (err) {
      // Whoever comes to own the volume makes room before it lets anybody write there.
      log.warn({ volume: record.name, err }, 'a volume could not be grown everywhere')
    }
  }

  async deleteVolume(record: VolumeRecord, progress: (freedBytes: number) => void): Promise<void> {
    const { replication, metadata, log } = this.#options
    const used = Math.max(0, ...this.usedOnBricks(record.uuid))
    const missing = await replication.deleteVolume(await this.#replicated(record))
    progress(used)
    if (missing.length === 0) return
    // Kept in the metadata, before these forget the volume.
    const value = encodeValue('leftover', { name: record.name })
    const success = missing.map(
      peer => ({ do: 'put', key: keys.leftover(peer, record.uuid), value }) as const,
    )
    await metadata.transact({ compare: [], success })
    log.warn(
      { volume: record.name, peers: missing },
      'peers that are away delete the volume when they are back',
    )
  }

  async highestKnown(record: VolumeRecord): Promise<KnownEpoch> {
    return this.#options.replication.highestKnown(await this.#replicated(record))
  }

  usedOnBricks(uuid: string): number[] {
    return this.#options.bricks.flatMap(brick => brick.replicas.volume(uuid)?.usedBytes ?? [])
  }

  async #replicated(record: VolumeRecord): Promise<ReplicatedVolume> {
    const { entries } = await this.#options.metadata.range(keys.pages(record.name))
    const peers = new Set(
      entries.flatMap(({ key, value }) => decodeValue('placement', key, value).ranges.flat()),
    )
    return replicatedOn(
      record,
      [...peers].sort((a, b) => a - b),
    )
  }
}

function replicatedOn(
  { uuid, sizeBytes, epoch, setVersion }: VolumeRecord,
  peers: readonly number[],
): ReplicatedVolume {
  return { uuid, sizeBytes: alignUp(sizeBytes), epoch, setVersion, peers }
}
