import { BlockStatus } from '../../block/block-status.ts'
import { fencesNeeded } from '../../control/layout.ts'
import type { MetadataStore } from '../../metadata/metadata-store.ts'
import type { LapsedAnswer } from '../messages.ts'
import type { PeerIdentity } from '../peer-network.ts'
import type { Replica } from '../replica/replica.ts'
import type { LeaseSource, ReplicationLog } from '../replication.ts'
import type { Timer, Timers } from '../timers.ts'
import { readBrickNames } from './head-keeper.ts'
import type { Orders } from './orders.ts'
import { candidateRank } from './rank.ts'
import { placedPeers } from './sets.ts'
import { type TakenEpoch, takeEpoch } from './takeover.ts'
import { placementOf, type VolumeWatch, type WatchedVolume, watchedSets } from './volume-watch.ts'

const TICK_MS = 100
/** Between two candidates: longer than a transaction, so that the first usually wins. */
const RANK_MS = 300
/** Who steps back owns only what nobody else has taken for so long. */
const STEPPED_BACK_MS = 5_000
/** An owner that has no grants is left alone for so long after it came: it fences. */
const OWNER_YOUNG_MS = 3_000
/** An owner that is in reach may be late with its question: it has so long after its grants have lapsed. */
const LAPSED_MS = 200
/** A candidate whose link has been down for so long is none. */
const DOWN_MS = 1_000
const LAPSED_TIMEOUT_MS = 500
const REST_MS_MIN = 500
const REST_MS_MAX = 5_000

export interface CandidacyOptions {
  readonly self: PeerIdentity
  readonly metadata: MetadataStore
  readonly timers: Timers
  readonly lease: LeaseSource
  readonly replica: Replica
  readonly orders: Orders
  readonly log: ReplicationLog
  readonly watch: VolumeWatch
  /** For how long the link to a peer has been down; 0 while it is up. */
  readonly downForMs: (peerNumber: number) => number
  readonly isOwned: (name: string) => boolean
  readonly taken: (name: string, taken: TakenEpoch) => Promise<void>
}

interface Attempts {
  failures: number
  notBeforeMs: number
  lapsedSinceMs: number | null
  trying: boolean
}

/** Who tries to own what nobody owns, and when: the members first, one after the other. PROTOCOL rule 2. */
export class Candidacy {
  readonly #options: CandidacyOptions
  readonly #attempts = new Map<string, Attempts>()
  readonly #wanted = new Set<string>()
  /** This peer is about to go: others should own what it could. */
  stepsBack = false
  #timer: Timer | null = null
  #stopped = false

  constructor(options: CandidacyOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#stopped) return
    this.#timer = this.#options.timers.after(TICK_MS, () => {
      for (const volume of this.#options.watch.volumes()) this.#consider(volume)
      this.start()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  want(name: string): void {
    this.#wanted.add(name)
  }

  unwant(name: string): void {
    this.#wanted.delete(name)
  }

  /** An ownership from here has ended, or never came to serve: others go first for a while. */
  rest(name: string): void {
    const attempts = this.#attemptsOf(name)
    attempts.failures++
    const restMs = Math.min(REST_MS_MAX, REST_MS_MIN * 2 ** (attempts.failures - 1))
    attempts.notBeforeMs = this.#options.timers.bootMs() + restMs
  }

  served(name: string): void {
    this.#attempts.delete(name)
  }

  #consider(volume: WatchedVolume): void {
    const { self, timers, isOwned, lease } = this.#options
    const { name, headValue, ownerValue } = volume
    if (this.#stopped || headValue?.state !== 'ready' || isOwned(name) || lease.current() === null) return
    const isFree = ownerValue === null || ownerValue.incarnation === self.incarnation
    // Nearly all have an owner that asks for its grants: of these nothing else is looked at.
    if (!isFree && !this.#hasLapsed(headValue.uuid, ownerValue.epoch)) {
      const attempts = this.#attempts.get(name)
      if (attempts !== undefined) attempts.lapsedSinceMs = null
      return
    }
    const now = timers.bootMs()
    const tried = this.#attempts.get(name)
    if (tried !== undefined && (tried.trying || now < tried.notBeforeMs)) return
    const peers = placedPeers(placementOf(volume))
    const isMember = peers.includes(self.peerNumber)
    if (!isMember && !this.#wanted.has(name)) return
    const attempts = this.#attemptsOf(name)
    const waitMs = this.#waitMs(headValue.uuid, peers)
    if (isFree) {
      // A key of our own that nobody stands for: its transaction came through after we had given it up.
      const lapsed = ownerValue === null ? null : volume.owner!.modRevision
      if (now - volume.ownerSinceMs >= waitMs)
        void this.#attempt(name, attempts, () => Promise.resolve(lapsed))
    } else if (isMember) this.#suspect(volume, attempts, now, waitMs)
  }

  /** Who is out of reach from here lets nobody wait: the transaction decides where both are wrong about it. */
  #waitMs(volumeUuid: string, peers: readonly number[]): number {
    const { self } = this.#options
    const rivals = peers.filter(peer => !this.#isGone(peer))
    const rankMs = candidateRank(volumeUuid, rivals, self.peerNumber) * RANK_MS
    return this.stepsBack ? rankMs + STEPPED_BACK_MS : rankMs
  }

  #isGone(peer: number): boolean {
    const { self, downForMs } = this.#options
    return peer !== self.peerNumber && downForMs(peer) >= DOWN_MS
  }

  #hasLapsed(volumeUuid: string, epoch: number): boolean {
    return this.#options.replica.volume(volumeUuid)?.lapsed(epoch) === true
  }

  /** The lease lives on, but does the owner? The members know whether it still asks for grants. */
  #suspect(volume: WatchedVolume, attempts: Attempts, now: number, waitMs: number): void {
    attempts.lapsedSinceMs ??= now
    const patienceMs = this.#isGone(volume.ownerValue!.number) ? waitMs : LAPSED_MS + waitMs
    if (now - volume.ownerSinceMs < OWNER_YOUNG_MS || now - attempts.lapsedSinceMs < patienceMs) return
    void this.#attempt(volume.name, attempts, () => this.#membersWord(volume))
  }

  /** modRevision of the owner's key when M members of every set say that its grants have lapsed. */
  async #membersWord(volume: WatchedVolume): Promise<bigint | null> {
    const { orders, metadata } = this.#options
    const { owner, ownerValue, headValue } = volume
    if (owner === null || ownerValue === null || headValue === null) return null
    const names = await readBrickNames(metadata, () => null)
    const sets = watchedSets(volume, names)
    const peers = placedPeers(sets)
    const terms = { volumeUuid: headValue.uuid, epoch: ownerValue.epoch, setVersion: 0 }
    const answers = await Promise.all(
      peers.map(peer => orders.ask(peer, terms, { what: 'lapsed' }, LAPSED_TIMEOUT_MS)),
    )
    const lapsed = new Set(
      peers.filter((_, i) => {
        const { status, body } = answers[i]!
        return status === BlockStatus.ok && (body as LapsedAnswer).lapsed
      }),
    )
    const enough = sets.every(
      set => set.filter(peer => lapsed.has(peer)).length >= fencesNeeded(headValue, set.length),
    )
    return enough ? owner.modRevision : 0n
  }

  async #attempt(name: string, attempts: Attempts, lapsedOwner: () => Promise<bigint | null>): Promise<void> {
    const { metadata, self, lease, log, taken, replica } = this.#options
    attempts.trying = true
    try {
      const lapsed = await lapsedOwner()
      const id = lease.current()
      if (lapsed === 0n || id === null || this.#stopped) return this.rest(name)
      const seen = (volumeUuid: string) => replica.volume(volumeUuid)?.epoch ?? 0
      const epoch = await takeEpoch(metadata, name, self, id, lapsed, seen)
      if (epoch === null) return this.rest(name)
      await taken(name, epoch)
    } catch (error) {
      log.warn({ volume: name, err: error }, 'a takeover could not be tried')
      this.rest(name)
    } finally {
      attempts.trying = false
      attempts.lapsedSinceMs = null
    }
  }

  #attemptsOf(name: string): Attempts {
    let attempts = this.#attempts.get(name)
    if (attempts === undefined) {
      attempts = { failures: 0, notBeforeMs: 0, lapsedSinceMs: null, trying: false }
      this.#attempts.set(name, attempts)
    }
    return attempts
  }
}
