import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { BlockKind, BlockOperation } from '../../src/block/block-operation.ts'
import { BlockStatus } from '../../src/block/block-status.ts'
import { checkInBrick, joinCluster } from '../../src/control/cluster.ts'
import { encodeValue, keys, type VolumeHead } from '../../src/control/layout.ts'
import { bootTimers } from '../../src/daemon/boot-timers.ts'
import { openEmbeddedStore } from '../../src/metadata/embedded/embedded-store.ts'
import type { MetadataStore } from '../../src/metadata/metadata-store.ts'
import { openReplication } from '../../src/replication/open-replication.ts'
import type { OwnedHere, Replication, ReplicationConfig } from '../../src/replication/replication.ts'
import type { CopyPlanner } from '../../src/replication/resync/resync-ports.ts'
import { TcpPeerNetwork } from '../../src/replication/wire/tcp-peer-network.ts'
import type { Brick } from '../../src/store/brick.ts'
import { openBrick } from '../../src/store/open-brick.ts'
import type { ReplicaVolume } from '../../src/store/replica-store.ts'
import { OwnedVolume } from '../../src/volume/owned-volume.ts'
import type { VolumeHandle } from '../../src/volume/volume.ts'
import { plainVolumeState } from '../simulation/cluster/volume-state.ts'

export const VOLUME_NAME = 'disk'
const MIB = 1024 * 1024
const TRIES_MAX = 200
const TRY_AGAIN_MS = 50
const LEASE_SECONDS = 5
const LEASE_KEPT_EVERY_MS = 1000
const NOTHING_WANTED: CopyPlanner = {
  wanted: () => [],
  substitute: () => null,
  isFull: () => false,
}

interface PeerAtWork {
  readonly brick: Brick
  readonly network: TcpPeerNetwork
  readonly replication: Replication
  readonly address: string
}

export interface BrickClusterOptions {
  readonly directory: string
  readonly peers: number
  readonly sizeBytes: number
  /** Peers that hold each range; the first ones unless given. */
  readonly placement?: readonly number[]
  readonly planner?: CopyPlanner
  readonly config?: Partial<ReplicationConfig>
}

/**
 * Peers with real bricks in one process, linked over TCP, with one volume that peer 1 owns. A peer is cut off
 * rather than killed: what its brick held at that moment is copied, and opened when it starts again.
 */
export class BrickCluster implements AsyncDisposable {
  readonly uuid = randomUUID()
  readonly events: string[] = []
  readonly #options: BrickClusterOptions
  readonly #metadata: MetadataStore
  readonly #directories = new Map<number, string>()
  readonly #peers = new Map<number, PeerAtWork>()
  readonly #gone: PeerAtWork[] = []
  #lease: bigint | null = null
  #keeping: NodeJS.Timeout | null = null
  #owned: OwnedHere | null = null
  #handle: VolumeHandle | null = null
  #copies = 0

  private constructor(options: BrickClusterOptions, metadata: MetadataStore) {
    this.#options = options
    this.#metadata = metadata
  }

  static async start(options: BrickClusterOptions): Promise<BrickCluster> {
    const metadata = await openEmbeddedStore({ directory: join(options.directory, 'metadata') })
    const cluster = new BrickCluster(options, metadata)
    await cluster.#found()
    return cluster
  }

  /** The volume as its owner's clients have it. */
  get volume(): VolumeHandle {
    if (this.#handle === null) throw new Error('nobody owns the volume')
    return this.#handle
  }

  get head(): VolumeHead {
    if (this.#owned === null) throw new Error('nobody owns the volume')
    return this.#owned.head
  }

  /** Bytes on the wire between the owner and a peer since the process began, both ways. */
  wireBytes(peer: number): number {
    return this.#peers
      .get(1)!
      .network.traffic()
      .filter(({ peerNumber }) => peerNumber === peer)
      .reduce((sum, { sentBytes, receivedBytes }) => sum + sentBytes + receivedBytes, 0)
  }

  replica(peer: number): ReplicaVolume {
    return this.#peers.get(peer)!.brick.replicas.volume(this.uuid)!
  }

  /** Where its brick lies now. */
  directory(peer: number): string {
    return this.#directories.get(peer)!
  }

  brick(peer: number): Brick {
    return this.#peers.get(peer)!.brick
  }

  /** Small numbers of the peers in sync everywhere, and of those that are not. */
  sets(): { inSync: readonly number[]; out: readonly number[] } {
    const [owned] = this.#peers.get(1)!.replication.statistics().owned
    return { inSync: owned?.inSync ?? [], out: owned?.out ?? [] }
  }

  async write(offsetBytes: number, data: Buffer): Promise<number> {
    return this.#perform(BlockKind.write, offsetBytes, data.length, data)
  }

  async trim(offsetBytes: number, lengthBytes: number): Promise<number> {
    return this.#perform(BlockKind.trim, offsetBytes, lengthBytes)
  }

  /** What the owner would have cleared. */
  quietSegments(): number[] {
    return this.#owned!.extents.quietSegments(Number.POSITIVE_INFINITY, 1000)
  }

  async flush(): Promise<number> {
    return this.#perform(BlockKind.flush, 0, 0)
  }

  /** The links of a peer are gone at once; its brick stays as it is for start(). */
  async cutOff(peer: number): Promise<void> {
    const gone = this.#peers.get(peer)!
    this.#peers.delete(peer)
    this.#gone.push(gone)
    const from = this.#directories.get(peer)!
    const to = `${from}.${++this.#copies}`
    await gone.network[Symbol.asyncDispose]()
    await promisify(execFile)('cp', ['-a', '--sparse=always', from, to])
    this.#directories.set(peer, to)
  }

  /** `bootId`: of a machine that has rebooted meanwhile. */
  async start(peer: number, bootId?: string): Promise<void> {
    const { peers, directory, planner, config } = this.#options
    const id = `peer-${peer}`
    const metadata = this.#metadata
    const { clusterId } = await joinCluster(metadata, { id, addresses: [], labels: {} })
    const place = this.#directories.get(peer) ?? join(directory, id)
    this.#directories.set(peer, place)
    const brick = await openBrick({
      directory: place,
      clusterId,
      create: true,
      dirtyCapBytes: 256 * MIB,
      journalBytes: 4 * MIB,
      blocksInDoubt: 'are bad',
      metadataOpenCounter: opened => checkInBrick(metadata, opened, id),
      ...(bootId === undefined ? {} : { bootId: () => bootId }),
    })
    const network = new TcpPeerNetwork({
      self: {
        clusterId,
        peerId: id,
        peerNumber: peer,
        brickUuid: brick.uuid,
        openCounter: brick.openCounter,
        bootId: bootId ?? 'the boot of the test',
        incarnation: randomUUID(),
      },
      addressOf: number => {
        const address = this.#peers.get(number)?.address
        if (address === undefined) return null
        const [host, port] = address.split(':') as [string, string]
        return { host, port: Number(port) }
      },
      admit: () => Promise.resolve(),
      tls: null,
    })
    const replication = openReplication({
      network,
      store: brick.replicas,
      metadata,
      timers: bootTimers,
      lease: { current: () => (peer === 1 ? this.#lease : null) },
      randomBytes,
      server: {
        begin: owned => this.#begin(owned),
        changed: () => {},
        lost: () => {},
        end: () => this.#end(),
      },
      log: { info: () => {}, warn: () => {}, error: (fields, message) => this.#tell(message, fields) },
      tellEvent: (kind, _subject, message) => this.events.push(`${kind}: ${message}`),
      ...(peer === 1 && planner !== undefined ? { planner } : { planner: NOTHING_WANTED }),
      ...(config === undefined ? {} : { config }),
    })
    network.serve(replication.handler)
    const address = await network.listen('127.0.0.1', 0)
    this.#peers.set(peer, { brick, network, replication, address })
    if (this.#peers.size >= peers || this.#handle !== null) await replication.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keeping !== null) clearInterval(this.#keeping)
    for (const { replication } of this.#peers.values()) await replication[Symbol.asyncDispose]()
    for (const { replication } of this.#gone) await replication[Symbol.asyncDispose]()
    for (const { network } of this.#peers.values()) await network[Symbol.asyncDispose]()
    for (const { brick } of [...this.#peers.values(), ...this.#gone]) await brick[Symbol.asyncDispose]()
    await this.#metadata[Symbol.asyncDispose]()
  }

  async #found(): Promise<void> {
    const { peers, sizeBytes, placement = [1, 2, 3].slice(0, peers) } = this.#options
    this.#lease = await this.#metadata.grantLease(LEASE_SECONDS)
    this.#keeping = setInterval(() => {
      void this.#metadata.keepLeaseAlive(this.#lease!)
    }, LEASE_KEPT_EVERY_MS)
    for (let peer = 1; peer <= peers; peer++) await this.start(peer)
    const replication = this.#peers.get(1)!.replication
    const made = { uuid: this.uuid, sizeBytes, epoch: 1, setVersion: 1, peers: placement }
    await this.#until('links', () => placement.every(peer => peer === 1 || this.#isLinked(peer)))
    await replication.createVolume(made)
    await this.#enterVolume(sizeBytes, placement)
    for (let peer = 1; peer < peers; peer++) await this.#peers.get(peer)!.replication.start()
    replication.want(VOLUME_NAME)
    await this.#until('an owner', () => this.#handle !== null)
  }

  #isLinked(peer: number): boolean {
    return this.#peers.get(1)!.network.link(peer).isUp
  }

  async #enterVolume(sizeBytes: number, placement: readonly number[]): Promise<void> {
    const head: VolumeHead = {
      uuid: this.uuid,
      state: 'ready',
      epoch: 1,
      replicas: placement.length,
      minReplicas: 1,
      generation: 1,
      setVersion: 1,
      lossGeneration: 0,
      pending: null,
      out: [],
      sizeBytes,
      blockSizeBytes: 4096,
      readOnly: false,
      removable: false,
      naa: '6'.repeat(32),
      createdAt: new Date().toISOString(),
    }
    const ranges = Array.from({ length: Math.ceil(sizeBytes / (4096 * MIB)) }, () => placement)
    await this.#metadata.transact({
      compare: [],
      success: [
        { do: 'put', key: keys.head(VOLUME_NAME), value: encodeValue('volume', head) },
        { do: 'put', key: keys.page(VOLUME_NAME, 0), value: encodeValue('placement', { ranges }) },
      ],
    })
  }

  async #begin(owned: OwnedHere): Promise<void> {
    const { uuid, head } = owned
    const description = {
      name: VOLUME_NAME,
      uuid,
      naa: Buffer.from(head.naa, 'hex'),
      blockSizeBytes: 4096 as const,
      sizeBytes: head.sizeBytes,
      readOnly: false,
      removable: false,
    }
    const volume = new OwnedVolume(description, owned.extents, plainVolumeState(), owned.queue)
    this.#owned = owned
    this.#handle = volume.open({ protocol: 'nbd', name: 'test' })
  }

  async #end(): Promise<void> {
    this.#owned = null
    this.#handle = null
  }

  /** As hosts do, an operation that finds nobody who serves it is tried again. */
  async #perform(kind: BlockKind, offsetBytes: number, lengthBytes: number, data?: Buffer): Promise<number> {
    for (let tries = 0; ; tries++) {
      const status =
        this.#handle === null
          ? BlockStatus.unavailable
          : await this.#try(kind, offsetBytes, lengthBytes, data)
      if (status !== BlockStatus.unavailable || tries === TRIES_MAX) return status
      await new Promise(resolve => setTimeout(resolve, TRY_AGAIN_MS))
    }
  }

  #try(kind: BlockKind, offsetBytes: number, lengthBytes: number, data?: Buffer): Promise<BlockStatus> {
    return new Promise(resolve => {
      const operation = new BlockOperation({ blockDone: ({ status }) => resolve(status) })
      operation.kind = kind
      operation.offsetBytes = offsetBytes
      operation.lengthBytes = lengthBytes
      if (data !== undefined) operation.data = data
      this.volume.submit(operation)
    })
  }

  #tell(message: string, fields: object): void {
    this.events.push(
      `error: ${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? value.stack : value))}`,
    )
  }

  /** Polls; rejects, with what happened, after ten seconds. */
  async #until(what: string, holds: () => boolean): Promise<void> {
    for (let tries = 0; !holds(); tries++) {
      if (tries === 500) throw new Error(`waited in vain for ${what}: ${this.events.join(', ')}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}
