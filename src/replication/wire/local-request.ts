import { CHECKSUM_BLOCK_BYTES } from '../../lib/block-checksums.ts'
import { invariant } from '../../lib/invariant.ts'
import type { BufferPool } from '../../net/buffer-pool.ts'
import {
  type IncomingRequest,
  NO_PAYLOAD,
  type PeerAnswer,
  type PeerIdentity,
  type PeerRequest,
  type PeerRequestHandler,
  type PeerStatus,
  UNKNOWN_CHECKSUM,
} from '../peer-network.ts'
import { RequestFields } from './request-fields.ts'
import type { TurnItem, TurnQueue } from './turn-queue.ts'

/** The link that a request goes by. */
export interface LocalRequestOwner {
  readonly queue: TurnQueue
  readonly pool: BufferPool
  /** It has been answered and can be used again. */
  answered(local: LocalRequest): void
}

const Phase = { idle: 0, toDeliver: 1, delivered: 2, toReply: 3 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/** A request from its sender to a peer in the same process and back. Pooled by its link. */
export class LocalRequest extends RequestFields implements IncomingRequest, TurnItem {
  from!: PeerIdentity
  connection = 0
  readonly #owner: LocalRequestOwner
  readonly #checksum = new Uint32Array(1)
  readonly #reservation: { buffer: Buffer; readonly at: number } = { buffer: NO_PAYLOAD, at: 0 }
  #handler!: PeerRequestHandler
  /** Null once the connection has ended: the sender has its buffers back. */
  #request: PeerRequest | null = null
  #phase: Phase = Phase.idle
  #kept: Buffer | null = null
  #reserved: Buffer | null = null

  constructor(owner: LocalRequestOwner) {
    super()
    this.#owner = owner
  }

  open(request: PeerRequest, handler: PeerRequestHandler, from: PeerIdentity, connection: number): void {
    this.#request = request
    this.#handler = handler
    this.#phase = Phase.toDeliver
    this.from = from
    this.connection = connection
    this.kind = request.kind
    this.volume = request.volume
    this.takeFields(request)
    this.body = copied(request.body)
    this.payload = request.payload
    this.payloadAt = request.payloadAt
    this.payloadLengthBytes = request.payloadLengthBytes
    this.blockChecksums = this.#checksumsOf(request)
  }

  /** The connection has ended: answers the sender's request, which is lost. */
  cut(): PeerRequest {
    const request = this.#request
    invariant(request !== null, 'a request is cut once')
    this.#request = null
    return request
  }

  turn(): void {
    const request = this.#request
    if (this.#phase === Phase.toDeliver && request !== null) {
      this.#phase = Phase.delivered
      this.#handler.received(this)
      return
    }
    this.#recycle()
    if (request === null) return
    this.#owner.answered(this)
    request.completion.replied(request)
  }

  keep(): void {
    if (this.payloadLengthBytes === 0 || this.#kept !== null) return
    const kept = this.#owner.pool.take(this.payloadLengthBytes)
    this.payload.copy(kept, 0, this.payloadAt, this.payloadAt + this.payloadLengthBytes)
    this.payload = kept
    this.payloadAt = 0
    this.#kept = kept
  }

  reserveReply(lengthBytes: number): { readonly buffer: Buffer; readonly at: number } {
    invariant(this.#reserved === null, 'an answer is reserved once')
    this.#reserved = this.#owner.pool.take(lengthBytes)
    this.#reservation.buffer = this.#reserved
    return this.#reservation
  }

  reply(status: PeerStatus, answer?: PeerAnswer): void {
    invariant(this.#phase === Phase.delivered, 'a request is answered once')
    this.#phase = Phase.toReply
    const request = this.#request
    if (request !== null) this.#fillIn(request, status, answer)
    if (this.#kept !== null) this.#owner.pool.give(this.#kept)
    if (this.#reserved !== null) this.#owner.pool.give(this.#reserved)
    this.#kept = this.#reserved = null
    this.#owner.queue.add(this)
  }

  /** The sender's checksum is that of a block where the payload is one. */
  #checksumsOf({ payloadLengthBytes, payloadChecksum }: PeerRequest): Uint32Array | null {
    if (payloadLengthBytes !== CHECKSUM_BLOCK_BYTES || payloadChecksum === UNKNOWN_CHECKSUM) return null
    this.#checksum[0] = payloadChecksum
    return this.#checksum
  }

  #fillIn(request: PeerRequest, status: PeerStatus, answer: PeerAnswer | undefined): void {
    request.status = status
    request.replyBody = copied(answer?.body ?? null)
    request.failedAtBytes = answer?.failedAtBytes ?? 0
    const data = answer?.data
    if (data === undefined) return
    const dataAt = answer?.dataAt ?? 0
    const lengthBytes = answer?.dataLengthBytes ?? data.length - dataAt
    invariant(lengthBytes <= request.intoLengthBytes, 'an answer fits where its sender wants it')
    data.copy(request.into, request.intoAt, dataAt, dataAt + lengthBytes)
  }

  #recycle(): void {
    this.#phase = Phase.idle
    this.#request = null
    this.body = null
    this.payload = NO_PAYLOAD
  }
}

/** As if it had gone over a wire: neither side sees what the other does to it. */
function copied(body: unknown): unknown {
  return body === null || body === undefined ? null : (JSON.parse(JSON.stringify(body)) as unknown)
}
