import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import {
  type BlockAnswer,
  type BlockEntriesAnswer,
  type DigestsAnswer,
  type RegionsAnswer,
  type ReplicaOrder,
  RequestFlag,
  type SegmentsAnswer,
} from '../messages.ts'
import { NO_PAYLOAD, PeerRequest, PeerRequestKind, type PeerStatus } from '../peer-network.ts'
import type { RegionDigest } from '../replica-store.ts'
import type { MemberPort, MemberRead } from '../resync/resync-ports.ts'
import { segmentsOf } from '../segment-runs.ts'
import type { Timer, Timers } from '../timers.ts'
import type { Member } from './member.ts'
import type { Orders } from './orders.ts'

/** Orders that read whole segments, or make data durable, take longer than others. */
const LONG_ORDER_TIMEOUT_MS = 30_000
/** What is copied holds blocks that clients wait for: a peer that takes longer for a region is cut off. */
const PIECE_TIMEOUT_MS = 10_000
/** Named in one order: far less than a frame holds. */
const SEGMENTS_PER_ORDER_MAX = 65_536

/** By which authority a port speaks; all are asked at each call. */
export interface PortTerms {
  readonly volumeUuid: string
  readonly epoch: number
  readonly setVersion: number
  readonly ended: boolean
}

/** One brick as copying, reconcile and repair see it, behind a link or in this process. */
export class EpochMemberPort implements MemberPort {
  readonly #member: Member
  readonly #orders: Orders
  readonly #terms: PortTerms
  readonly #timers: Timers

  constructor(member: Member, orders: Orders, terms: PortTerms, timers: Timers) {
    this.#member = member
    this.#orders = orders
    this.#terms = terms
    this.#timers = timers
  }

  get peerNumber(): number {
    return this.#member.peerNumber
  }

  get incarnation(): string {
    return this.#member.incarnation
  }

  get brickUuid(): string {
    return this.#member.brickUuid
  }

  async regionsSince(since: number, from: number, atMost: number): Promise<readonly number[]> {
    return (await this.#ask<RegionsAnswer>({ what: 'regionsSince', since, from, atMost })).regions
  }

  async activeSegments(): Promise<readonly number[]> {
    return (await this.segments()).active
  }

  async suspectSegments(): Promise<readonly number[]> {
    return (await this.segments()).suspect
  }

  async segments(): Promise<SegmentsAnswer> {
    const { active, suspect, activeRuns, suspectRuns } = await this.#ask<SegmentsAnswer>({
      what: 'segments',
      runs: true,
    })
    if (activeRuns === undefined || suspectRuns === undefined) return { active, suspect }
    return { active: segmentsOf(activeRuns), suspect: segmentsOf(suspectRuns) }
  }

  async digestRegions(firstRegion: number, count: number): Promise<readonly RegionDigest[]> {
    return (await this.#ask<DigestsAnswer>({ what: 'digests', firstRegion, count })).digests
  }

  async blockEntries(region: number): Promise<Uint32Array> {
    const { entries } = await this.#ask<BlockEntriesAnswer>({ what: 'blockEntries', region })
    return Uint32Array.from(entries)
  }

  async read(offsetBytes: number, lengthBytes: number, into: Buffer, at: number): Promise<MemberRead> {
    const { status, failedAtBytes } = await this.#send(request => {
      request.kind = PeerRequestKind.read
      request.offsetBytes = offsetBytes
      request.lengthBytes = lengthBytes
      request.into = into
      request.intoAt = at
      request.intoLengthBytes = lengthBytes
    })
    if (status !== BlockStatus.ok && status !== BlockStatus.mediumError) throw this.#failure('read', status)
    return { status, failedAtBytes }
  }

  async copyIn(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
  ): Promise<BlockStatus> {
    return this.#copy(offsetBytes, lengthBytes, from, at, stamp, 0)
  }

  trimIn(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    return this.#copy(offsetBytes, lengthBytes, NO_PAYLOAD, 0, stamp, RequestFlag.absent)
  }

  /** Overwrites blocks that do not hold by what another member has. */
  repair(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus> {
    return this.#copy(offsetBytes, lengthBytes, from, at, 0, RequestFlag.repair)
  }

  /** As a write that is there whole or not at all. */
  copyWhole(offsetBytes: number, lengthBytes: number, from: Buffer, at: number): Promise<BlockStatus> {
    return this.#copy(offsetBytes, lengthBytes, from, at, 0, RequestFlag.atomic)
  }

  async markBad(offsetBytes: number, lengthBytes: number, stamp: number): Promise<BlockStatus> {
    const { status } = await this.#ask<BlockAnswer>({ what: 'markBad', offsetBytes, lengthBytes, stamp })
    return status as BlockStatus
  }

  async raiseStamps(regions: readonly number[], stamps: readonly number[]): Promise<void> {
    await this.#ask({ what: 'raiseStamps', regions, stamps })
  }

  async trustSegments(segments: readonly number[]): Promise<void> {
    for (let at = 0; at < segments.length; at += SEGMENTS_PER_ORDER_MAX) {
      await this.#ask({ what: 'trustSegments', segments: segments.slice(at, at + SEGMENTS_PER_ORDER_MAX) })
    }
  }

  async flush(): Promise<void> {
    const { changes } = this.#member
    const { status } = await this.#send(request => {
      request.kind = PeerRequestKind.flush
    })
    if (status !== BlockStatus.ok) throw this.#failure('flush', status)
    this.#member.flushed(changes)
  }

  async freeRanges(ranges: readonly number[]): Promise<void> {
    await this.#ask({ what: 'freeRanges', ranges })
  }

  /** An order of the owner; rejects unless it was carried out. */
  async order(order: ReplicaOrder): Promise<void> {
    await this.#ask(order)
  }

  async #copy(
    offsetBytes: number,
    lengthBytes: number,
    from: Buffer,
    at: number,
    stamp: number,
    flags: number,
  ): Promise<BlockStatus> {
    this.#member.changes++
    const { status } = await this.#send(request => {
      request.kind = PeerRequestKind.copyIn
      request.offsetBytes = offsetBytes
      request.lengthBytes = lengthBytes
      request.stamp = stamp
      request.flags = flags
      request.payload = from
      request.payloadAt = at
      request.payloadLengthBytes = flags === RequestFlag.absent ? 0 : lengthBytes
    })
    this.#member.changes++
    if (status !== BlockStatus.ok && status !== BlockStatus.noSpace) throw this.#failure('copy', status)
    return status
  }

  async #ask<T>(order: ReplicaOrder): Promise<T> {
    this.#check()
    const { status, body } = await this.#orders.ask(
      this.peerNumber,
      this.#terms,
      order,
      LONG_ORDER_TIMEOUT_MS,
    )
    this.#check()
    if (status !== BlockStatus.ok) throw this.#failure(order.what, status)
    return body as T
  }

  #check(): void {
    if (this.#terms.ended) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the epoch is over')
  }

  #failure(what: string, status: PeerStatus): HoldfastError {
    return new HoldfastError(
      'ERR_BLOCK_UNAVAILABLE',
      `peer ${this.peerNumber} answered ${what} with ${status}`,
    )
  }

  async #send(fill: (request: PeerRequest) => void): Promise<{ status: PeerStatus; failedAtBytes: number }> {
    this.#check()
    const { local, link } = this.#member
    const answer = await new Promise<{ status: PeerStatus; failedAtBytes: number }>(resolve => {
      let timer: Timer | null = null
      const request = new PeerRequest({
        replied: ({ status, failedAtBytes }) => {
          timer?.cancel()
          resolve({ status, failedAtBytes })
        },
      })
      fill(request)
      request.volume = this.#terms.volumeUuid
      request.epoch = this.#terms.epoch
      request.setVersion = this.#terms.setVersion
      if (local !== null) return this.#carryOutHere(request, resolve)
      // Its buffers come back with its connection. A flush takes as long as the disk needs, and holds nothing.
      if (request.kind !== PeerRequestKind.flush)
        timer = this.#timers.after(PIECE_TIMEOUT_MS, () => link!.reset())
      link!.send(request)
    })
    this.#check()
    return answer
  }

  #carryOutHere(
    request: PeerRequest,
    resolve: (answer: { status: PeerStatus; failedAtBytes: number }) => void,
  ): void {
    const { replica } = this.#member.local!
    const refusal = replica.admit(request.epoch, request.setVersion)
    if (refusal !== BlockStatus.ok) return resolve({ status: refusal, failedAtBytes: 0 })
    const { volume } = replica
    const { offsetBytes, lengthBytes, payload, payloadAt, stamp, flags } = request
    replica.begun()
    const end = (status: PeerStatus, failedAtBytes = 0) => {
      replica.ended()
      resolve({ status, failedAtBytes })
    }
    const isWhole = request.kind === PeerRequestKind.copyIn && flags === RequestFlag.atomic
    if (isWhole) replica.keepWhole({ offsetBytes, lengthBytes })
    if (isWhole || request.kind !== PeerRequestKind.copyIn) {
      const operation = new BlockOperation({ blockDone: done => end(done.status, done.failedAtBytes) })
      const otherwise = request.kind === PeerRequestKind.read ? BlockKind.read : BlockKind.flush
      operation.kind = isWhole ? BlockKind.writeAtomic : otherwise
      operation.offsetBytes = offsetBytes
      operation.lengthBytes = lengthBytes
      operation.data = isWhole ? payload : request.into
      operation.dataAt = isWhole ? payloadAt : request.intoAt
      return volume.submit(operation)
    }
    const copied =
      flags === RequestFlag.absent
        ? volume.trimIn(offsetBytes, lengthBytes, stamp)
        : flags === RequestFlag.repair
          ? volume.repair(offsetBytes, lengthBytes, payload, payloadAt)
          : volume.copyIn(offsetBytes, lengthBytes, payload, payloadAt, stamp)
    copied.then(
      status => end(status as BlockStatus),
      () => end(BlockStatus.ioError),
    )
  }
}
