import { BlockStatus } from '../block/block-status.ts'
import { decodeValue, keys, type OwnerValue } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { alignUp } from '../volume/block-alignment.ts'
import type { DescribeAnswer, ReplicaOrder } from './messages.ts'
import { Candidacy } from './owner/candidacy.ts'
import { GrantKeeper } from './owner/grant-keeper.ts'
import { readBrickNames, readPlacement } from './owner/head-keeper.ts'
import { Links } from './owner/links.ts'
import type { OwnerNode } from './owner/node.ts'
import { Orders } from './owner/orders.ts'
import { Ownership } from './owner/ownership.ts'
import { RejoinDamping } from './owner/rejoin-damping.ts'
import type { TakenEpoch } from './owner/takeover.ts'
import { Ticker } from './owner/ticker.ts'
import { VolumeWatch, type WatchedVolume } from './owner/volume-watch.ts'
import { type PeerRequestHandler, PeerStatus } from './peer-network.ts'
import { Replica } from './replica/replica.ts'
import type { OrderOutcome } from './replica/replica-orders.ts'
import {
  type OwnedHere,
  REPLICATION_DEFAULTS,
  type ReplicatedVolume,
  type Replication,
  type ReplicationOptions,
  type ReplicationStatistics,
} from './replication.ts'
import type { CopyBudget, CopyPlanner } from './resync/resync-ports.ts'
import type { Timer } from './timers.ts'

/** How often the metadata is asked whether it is there, while something is owned. PROTOCOL rule 24. */
const METADATA_ASK_MS = 5_000

const NOTHING_WANTED: CopyPlanner = {
  wanted: () => [],
  substitute: () => null,
  isFull: () => false,
}
const NO_LIMIT: CopyBudget = { take: () => Promise.resolve() }

/** The replication of one daemon; nothing happens before start(). */
export function openReplication(options: ReplicationOptions): Replication {
  return new DaemonReplication(options)
}

/** How often an owner is told of a bad block before that is left to the next scrub. */
const TELL_BAD_TRIES = 5
const TELL_BAD_AGAIN_MS = 1_000

class DaemonReplication implements Replication {
  readonly handler: PeerRequestHandler
  readonly #options: ReplicationOptions
  readonly #replica: Replica
  readonly #links: Links
  readonly #orders: Orders
  readonly #node: OwnerNode
  readonly #owned = new Map<string, Ownership>()
  readonly #taking = new Set<string>()
  readonly #watch: VolumeWatch
  readonly #candidacy: Candidacy
  readonly #grants: GrantKeeper
  readonly #ticker: Ticker
  readonly #listeners = new Set<(name: string) => void>()
  #metadataAnsweredMs: number
  #askTimer: Timer | null = null
  #closed = false

  constructor(options: ReplicationOptions) {
    this.#options = options
    const { network, store, metadata, timers, log, lease } = options
    const { self } = network
    const foundBad = (uuid: string, peer: number, offsetBytes: number) =>
      this.#repair(uuid, peer, offsetBytes)
    this.#replica = new Replica(self, store, timers, foundBad, log)
    store.badBlockFound = (uuid, offsetBytes) => void this.#foundBad(uuid, offsetBytes)
    this.handler = this.#replica
    this.#links = new Links(network, timers)
    this.#links.onChange((peer, isUp) => {
      for (const ownership of this.#owned.values()) ownership.linkChanged(peer, isUp)
    })
    this.#orders = new Orders(network, this.#replica, timers)
    this.#metadataAnsweredMs = timers.bootMs()
    this.#node = {
      network,
      store,
      metadata,
      timers,
      log,
      replica: this.#replica,
      links: this.#links,
      orders: this.#orders,
      server: options.server,
      config: { ...REPLICATION_DEFAULTS, ...options.config },
      tellEvent: options.tellEvent,
      peerName: options.peerName ?? String,
      counters: { takeovers: 0, ejections: 0, regionsReconciled: 0, blocksRepaired: 0 },
      damping: new RejoinDamping(timers),
      planner: options.planner ?? NOTHING_WANTED,
      budget: options.budget ?? NO_LIMIT,
      metadataAnsweredMs: () => this.#metadataAnsweredMs,
    }
    this.#watch = new VolumeWatch({
      metadata,
      timers,
      log,
      ownerChanged: volume => this.#ownerChanged(volume),
      headChanged: volume => this.#headChanged(volume),
    })
    this.#candidacy = new Candidacy({
      self,
      metadata,
      timers,
      lease,
      log,
      replica: this.#replica,
      orders: this.#orders,
      watch: this.#watch,
      downForMs: peer => this.#links.downForMs(peer),
      isOwned: name => this.#owned.has(name) || this.#taking.has(name),
      taken: (name, taken) => this.#taken(name, taken),
    })
    this.#grants = new GrantKeeper(
      this.#orders,
      timers,
      () => this.#owned.values(),
      active => options.aboveActiveTarget?.(active),
    )
    this.#ticker = new Ticker(timers, () => this.#owned.values())
  }

  async start(): Promise<void> {
    await this.#watch.open()
    this.#metadataAnsweredMs = this.#options.timers.bootMs()
    this.#candidacy.start()
    this.#askMetadataLater()
  }

  owner(name: string): OwnerValue | null {
    return this.#watch.volume(name)?.ownerValue ?? null
  }

  onOwnerChange(listener: (name: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  owned(name: string): OwnedHere | null {
    const ownership = this.#owned.get(name)
    return ownership?.served === true && !ownership.ended ? ownership : null
  }

  want(name: string): void {
    this.#candidacy.want(name)
  }

  unwant(name: string): void {
    this.#candidacy.unwant(name)
  }

  async release(name: string): Promise<void> {
    this.#candidacy.rest(name)
    await this.#owned.get(name)?.release('it was asked to')
  }

  stepBack(back: boolean): void {
    this.#candidacy.stepsBack = back
  }

  async retire(): Promise<void> {
    this.#candidacy.stop()
    await Promise.all([...this.#owned.values()].map(ownership => ownership.release('this daemon retires')))
  }

  async createVolume(volume: ReplicatedVolume): Promise<void> {
    const sizeBytes = alignUp(volume.sizeBytes)
    const answers = await this.#askAll(volume, { what: 'createVolume', sizeBytes })
    const failed = answers.find(({ outcome }) => outcome.status !== BlockStatus.ok)
    if (failed === undefined) return
    const why = failed.outcome.status === PeerStatus.lost ? 'cannot be reached' : 'failed'
    const message = `peer number ${failed.peer} ${why}, so its replica could not be made: doctor and its log say more`
    throw new HoldfastError('ERR_REPLICAS_UNAVAILABLE', message)
  }

  async growVolume(volume: ReplicatedVolume): Promise<void> {
    await this.#askAll(volume, { what: 'growVolume', sizeBytes: alignUp(volume.sizeBytes) })
  }

  async deleteVolume(volume: ReplicatedVolume): Promise<readonly number[]> {
    const answers = await this.#askAll(volume, { what: 'deleteVolume' })
    return answers.filter(({ outcome }) => outcome.status !== BlockStatus.ok).map(({ peer }) => peer)
  }

  async highestKnown(volume: ReplicatedVolume): Promise<DescribeAnswer> {
    const answers = await this.#askAll(volume, { what: 'describe' })
    const known = answers
      .filter(({ outcome }) => outcome.status === BlockStatus.ok)
      .map(({ outcome }) => outcome.body as DescribeAnswer)
    return {
      epoch: Math.max(volume.epoch, ...known.map(({ epoch }) => epoch)),
      setVersion: Math.max(volume.setVersion, ...known.map(({ setVersion }) => setVersion)),
    }
  }

  statistics(): ReplicationStatistics {
    return {
      owned: [...this.#owned.values()].map(ownership => ownership.statistics),
      ...this.#node.counters,
      ...this.#replica.counters,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.retire()
    this.#grants.stop()
    this.#ticker.stop()
    this.#askTimer?.cancel()
    await this.#watch.close()
    this.#links.close()
    this.#listeners.clear()
  }

  /** On this brick: the owner, here or elsewhere, has it repaired from another member. The next scrub asks again. */
  async #foundBad(uuid: string, offsetBytes: number): Promise<void> {
    const { network, timers } = this.#options
    const order = { what: 'foundBad', peer: network.self.peerNumber, offsetBytes } as const
    for (let tries = 0; tries < TELL_BAD_TRIES && !this.#closed; tries++) {
      const volume = [...this.#watch.volumes()].find(({ headValue }) => headValue?.uuid === uuid)
      const owner = volume?.ownerValue ?? null
      if (owner !== null) {
        const terms = { volumeUuid: uuid, epoch: owner.epoch, setVersion: volume!.headValue!.setVersion }
        const { status } = await this.#orders.ask(owner.number, terms, order)
        if (status === BlockStatus.ok) return
      }
      await new Promise<void>(resolve => {
        timers.after(TELL_BAD_AGAIN_MS, resolve)
      })
    }
  }

  #repair(uuid: string, peer: number, offsetBytes: number): void {
    for (const ownership of this.#owned.values()) {
      if (ownership.uuid === uuid && ownership.served) ownership.repair(ownership.member(peer), offsetBytes)
    }
  }

  async #taken(name: string, { entry, ownerRevision }: TakenEpoch): Promise<void> {
    const { metadata, network } = this.#options
    this.#taking.add(name)
    try {
      const seen = (peer: number) =>
        peer === network.self.peerNumber
          ? network.self.brickUuid
          : (this.#links.to(peer).identity?.brickUuid ?? null)
      const [placement, names] = await Promise.all([
        readPlacement(metadata, name, decodeValue('volume', entry.key, entry.value).sizeBytes),
        readBrickNames(metadata, seen),
      ])
      if (this.#closed || this.#owned.has(name)) return
      const node = this.#node
      const ended = (ownership: Ownership) => this.#ended(ownership)
      const serving = () => this.#candidacy.served(name)
      const options = { node, name, entry, ownerRevision, placement, names, serving, ended }
      const ownership = new Ownership(options)
      this.#owned.set(name, ownership)
      ownership.begin()
    } finally {
      this.#taking.delete(name)
    }
  }

  #ended(ownership: Ownership): void {
    if (this.#owned.get(ownership.name) !== ownership) return
    this.#owned.delete(ownership.name)
    this.#candidacy.rest(ownership.name)
  }

  #ownerChanged({ name }: WatchedVolume): void {
    for (const listener of [...this.#listeners]) listener(name)
  }

  #headChanged({ name, head, headValue }: WatchedVolume): void {
    const ownership = this.#owned.get(name)
    if (ownership === undefined) return
    const gone = head === null || headValue === null || headValue.uuid !== ownership.uuid
    if (gone || headValue.state !== 'ready') return ownership.end('the volume is being deleted')
    if (headValue.epoch > ownership.epoch) return ownership.superseded()
    ownership.learn(head)
  }

  #askAll(
    volume: ReplicatedVolume,
    order: ReplicaOrder,
  ): Promise<{ readonly peer: number; readonly outcome: OrderOutcome }[]> {
    const terms = { volumeUuid: volume.uuid, epoch: volume.epoch, setVersion: volume.setVersion }
    return Promise.all(
      volume.peers.map(async peer => ({ peer, outcome: await this.#orders.ask(peer, terms, order) })),
    )
  }

  #askMetadataLater(): void {
    this.#askTimer = this.#options.timers.after(METADATA_ASK_MS, () => {
      void this.#askMetadata()
      this.#askMetadataLater()
    })
  }

  async #askMetadata(): Promise<void> {
    try {
      await this.#options.metadata.get(keys.cluster)
      this.#metadataAnsweredMs = this.#options.timers.bootMs()
    } catch {
      // Silence is counted from the last answer.
    }
  }
}
