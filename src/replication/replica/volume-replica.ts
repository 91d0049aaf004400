import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import type { ByteSpan, FenceAnswer } from '../messages.ts'
import { promisedUntilMs } from '../owner/grants.ts'
import { PeerStatus } from '../peer-network.ts'
import type { ReplicaStore, ReplicaVolume } from '../replica-store.ts'
import type { Timer, Timers } from '../timers.ts'
import { RecentOperations } from './recent-operations.ts'

export interface VolumeReplicaOptions {
  readonly volume: ReplicaVolume
  readonly store: ReplicaStore
  readonly timers: Timers
  /** No fence is honoured before: promises of a former process may still be counted on. PROTOCOL rule 5. */
  readonly forgottenUntilMs: number
  /** Made by this process for this epoch: nothing is in doubt and no fence is needed first. */
  readonly fresh: boolean
}

/**
 * What one brick promises about one volume: whose epoch it obeys, until when it has granted reads, and what is
 * being applied. Shared by the owner in this process and by those behind links.
 */
export class VolumeReplica {
  readonly volume: ReplicaVolume
  readonly #store: ReplicaStore
  readonly #timers: Timers
  readonly #recent = new RecentOperations()
  /** Atomic writes that are in doubt until the owner says that nothing is. */
  #atomics: ByteSpan[]
  /** Obeyed now: fenced for and persisted in the life of this process; 0 before that. */
  #epoch: number
  /** The highest that a fence was asked for: nothing below it is admitted or granted any more. */
  #fencing: number
  /** The process that asked for it; null: nobody yet. */
  #fencedBy: string | null
  #promisedUntilMs: number
  #watermark = 0
  /** Operations of this epoch have been noted from its beginning on; 0: of none. */
  #loggedEpoch = 0
  #settledEpoch: number
  /** It was written to when the machine went down, and has not been made like a good member since. */
  #mayLack: boolean
  #inFlight = 0
  #wake: (() => void) | null = null
  #fence: { readonly epoch: number; readonly answer: Promise<FenceAnswer | PeerStatus> } | null = null

  constructor(options: VolumeReplicaOptions) {
    this.volume = options.volume
    this.#atomics = [...options.volume.atomicsAtOpen]
    this.#store = options.store
    this.#timers = options.timers
    const { epoch, fencedBy } = options.volume.descriptor
    this.#fencing = epoch
    this.#fencedBy = fencedBy ?? null
    this.#epoch = options.fresh ? epoch : 0
    this.#settledEpoch = options.fresh ? epoch : 0
    this.#mayLack = options.store.state === 'cold' && options.volume.suspectSegments().length > 0
    this.#promisedUntilMs = options.fresh ? 0 : options.forgottenUntilMs
  }

  /** The highest epoch known here. */
  get epoch(): number {
    return this.#fencing
  }

  get watermark(): number {
    return this.#watermark
  }

  /** May an operation of this epoch be applied or read? ok, or why not. */
  admit(epoch: number, setVersion: number): PeerStatus {
    if (epoch < this.#fencing) return PeerStatus.staleEpoch
    if (epoch !== this.#epoch) return BlockStatus.unavailable
    if (setVersion < this.volume.descriptor.setVersion) return PeerStatus.staleSet
    return this.#store.failure === null ? BlockStatus.ok : BlockStatus.ioError
  }

  /** Between begun() and ended() an admitted operation is applied; a fence waits for all. */
  begun(): void {
    this.#inFlight++
  }

  ended(): void {
    if (--this.#inFlight === 0) this.#wake?.()
  }

  /** Remembers an operation before it is applied. */
  note(
    operation: number,
    watermark: number,
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
    stream: number,
    sequence: number,
  ): void {
    if (watermark > this.#watermark) this.#watermark = watermark
    this.#recent.note(this.#epoch, operation, kind, offsetBytes, lengthBytes, stream, sequence)
  }

  /** Promises the owner of `epoch` to honour no fence for GRANT_MS from now; false refuses. PROTOCOL rule 4. */
  renew(epoch: number): boolean {
    if (epoch !== this.#epoch || epoch !== this.#fencing || this.#store.failure !== null) return false
    this.#promisedUntilMs = Math.max(this.#promisedUntilMs, promisedUntilMs(this.#timers.bootMs()))
    return true
  }

  /** The owner of `epoch` has said that it reads no more. */
  release(epoch: number): void {
    if (epoch !== this.#epoch) return
    this.#promisedUntilMs = 0
    this.#wake?.()
  }

  /** No owner of `epoch` or below may read because of us. PROTOCOL rule 2. */
  lapsed(epoch: number): boolean {
    return this.#fencing <= epoch && this.#timers.bootMs() >= this.#promisedUntilMs
  }

  /** The owner of `epoch` reconciled everything that was in doubt, and it was flushed here. PROTOCOL rule 16. */
  reconciled(epoch: number): void {
    if (epoch !== this.#epoch) return
    this.#settledEpoch = epoch
    this.#mayLack = false
    this.#atomics = []
  }

  /** These segments were reconciled with a good member, or copied from one. */
  async trustSegments(segments: readonly number[]): Promise<void> {
    await this.volume.trustSegments(segments)
    if (this.volume.suspectSegments().length === 0) this.#mayLack = false
  }

  /** Others may have it in part if the reconcile that gives it does not end. */
  keepWhole(span: ByteSpan): void {
    this.#atomics.push(span)
  }

  /** Rule 12, before it resolves when `stampActive` is given; the descriptor is durable then. */
  async setVersion(setVersion: number, generation: number, stampActive: number | null): Promise<void> {
    if (generation > this.volume.generation) this.volume.generation = generation
    if (stampActive !== null) await this.volume.stampActive(stampActive)
    const { descriptor } = this.volume
    if (setVersion > descriptor.setVersion) {
      await this.volume.persistDescriptor({ ...descriptor, setVersion })
    }
  }

  /**
   * PROTOCOL rule 6: grants nothing any more, waits out what it has promised or a release, drains what is being
   * applied, persists the epoch, and only then answers. staleEpoch when a higher one came first. `opening`: nothing of
   * the epoch has been served yet. `sender`: of all processes only the first may have an epoch, which is persisted with
   * it; metadata that were rolled back give it to another.
   */
  fence(
    epoch: number,
    setVersion: number,
    generation: number,
    opening: boolean,
    sender: string,
  ): Promise<FenceAnswer | PeerStatus> {
    const isTaken = epoch === this.#fencing && this.#fencedBy !== null && this.#fencedBy !== sender
    if (epoch < this.#fencing || isTaken) return Promise.resolve(PeerStatus.staleEpoch)
    this.#fencing = epoch
    this.#fencedBy = sender
    if (!opening) this.#loggedEpoch = 0
    if (this.#fence?.epoch !== epoch) {
      this.#fence = { epoch, answer: this.#runFence(epoch, setVersion, generation, opening, sender) }
      // A fence that failed is tried anew by the next request.
      this.#fence.answer.catch(() => {
        this.#fence = null
      })
      this.#wake?.()
      return this.#fence.answer
    }
    return this.#fencedAgain(epoch, setVersion, generation, this.#fence.answer)
  }

  /** It comes back in the same epoch: the sets, and what is to be stamped with, have gone on without it. */
  async #fencedAgain(
    epoch: number,
    setVersion: number,
    generation: number,
    fence: Promise<FenceAnswer | PeerStatus>,
  ): Promise<FenceAnswer | PeerStatus> {
    this.volume.standsAlone = false
    const answer = await fence
    if (typeof answer === 'number') return answer
    await this.setVersion(setVersion, generation, null)
    return this.#fencing === epoch ? answer : PeerStatus.staleEpoch
  }

  async #runFence(
    epoch: number,
    setVersion: number,
    generation: number,
    opening: boolean,
    sender: string,
  ): Promise<FenceAnswer | PeerStatus> {
    const { descriptor } = this.volume
    if (epoch !== descriptor.epoch) {
      await this.#quiet(epoch)
      if (this.#fencing !== epoch) return PeerStatus.staleEpoch
    }
    const answer = this.#report()
    const persisted = this.volume.descriptor
    await this.volume.persistDescriptor({
      epoch,
      setVersion: Math.max(persisted.setVersion, setVersion),
      fencedBy: sender,
    })
    if (this.#fencing !== epoch) return PeerStatus.staleEpoch
    if (generation > this.volume.generation) this.volume.generation = generation
    // Whoever was told so, and not of who joined since, may neither settle nor clear anything by itself.
    this.volume.standsAlone = false
    this.#epoch = epoch
    this.#loggedEpoch = opening ? epoch : 0
    this.#watermark = 0
    return answer
  }

  /** Promises have ended and nothing admitted is being applied, or a higher epoch came. */
  async #quiet(epoch: number): Promise<void> {
    while (this.#fencing === epoch) {
      const leftMs = this.#promisedUntilMs - this.#timers.bootMs()
      if (leftMs <= 0 && this.#inFlight === 0) return
      await this.#woken(leftMs)
    }
  }

  #woken(withinMs: number): Promise<void> {
    return new Promise(resolve => {
      let timer: Timer | null = null
      const others = this.#wake
      const wake = () => {
        timer?.cancel()
        if (this.#wake === wake) this.#wake = null
        others?.()
        resolve()
      }
      this.#wake = wake
      if (withinMs > 0) timer = this.#timers.after(withinMs, wake)
    })
  }

  #report(): FenceAnswer {
    const { epoch, setVersion } = this.volume.descriptor
    const continuous = this.#settledEpoch > 0 && this.#settledEpoch === this.#epoch
    const operations = this.#recent.above(this.#epoch, this.#watermark)
    for (const { kind, offsetBytes, lengthBytes } of operations) {
      if (kind === BlockKind.writeAtomic) this.#atomics.push({ offsetBytes, lengthBytes })
    }
    return {
      // A brick stays cold until nothing of all its volumes is suspect any more; this one need not wait for the others.
      state: this.#store.state === 'warm' || !this.#mayLack ? 'warm' : 'cold',
      epoch,
      setVersion,
      continuous,
      operations,
      activeSegments: continuous ? [] : this.volume.activeSegments(),
      suspectSegments: this.volume.suspectSegments(),
      atomics: [...this.#atomics],
      log: this.#recent.log(this.#epoch, this.#loggedEpoch > 0 && this.#loggedEpoch === this.#epoch),
    }
  }
}
