import { invariant } from '../../lib/invariant.ts'
import {
  type IncomingRequest,
  NO_PAYLOAD,
  type PeerAnswer,
  type PeerIdentity,
  type PeerRequestKind,
  type PeerStatus,
} from '../peer-network.ts'
import type { FrameHeader } from './frame.ts'
import { RequestFields } from './request-fields.ts'

/** The connection that a request came by. */
export interface RequestOrigin {
  readonly from: PeerIdentity
  readonly connection: number
  /** A buffer of at least `lengthBytes` that answer() takes back. */
  takeBuffer(lengthBytes: number): Buffer
  /** The payload of `request`, which lies in the receive buffer, in a buffer of its own. */
  keepPayload(request: WireRequest): Buffer
  /** Throws, with nothing done, when the answer does not fit into a frame. */
  answer(request: WireRequest, status: PeerStatus, answer: PeerAnswer | undefined): void
}

/** A request as it came by a socket. Pooled by its connection. */
export class WireRequest extends RequestFields implements IncomingRequest {
  id = 0
  /** Given back when the request has been answered. */
  kept: Buffer | null = null
  reserved: Buffer | null = null
  readonly #origin: RequestOrigin
  readonly #reservation: { buffer: Buffer; readonly at: number } = { buffer: NO_PAYLOAD, at: 0 }
  #isOpen = false

  constructor(origin: RequestOrigin) {
    super()
    this.#origin = origin
  }

  get from(): PeerIdentity {
    return this.#origin.from
  }

  get connection(): number {
    return this.#origin.connection
  }

  open(header: FrameHeader, volume: string, body: unknown): void {
    this.#isOpen = true
    this.id = header.id
    this.kind = header.code as PeerRequestKind
    this.volume = volume
    this.takeFields(header)
    this.body = body
    this.payloadLengthBytes = header.payloadBytes
  }

  keep(): void {
    if (this.payloadLengthBytes === 0 || this.kept !== null) return
    this.kept = this.#origin.keepPayload(this)
  }

  reserveReply(lengthBytes: number): { readonly buffer: Buffer; readonly at: number } {
    invariant(this.reserved === null, 'an answer is reserved once')
    this.reserved = this.#origin.takeBuffer(lengthBytes)
    this.#reservation.buffer = this.reserved
    return this.#reservation
  }

  reply(status: PeerStatus, answer?: PeerAnswer): void {
    invariant(this.#isOpen, 'a request is answered once')
    this.#isOpen = false
    try {
      this.#origin.answer(this, status, answer)
    } catch (error) {
      this.#isOpen = true
      throw error
    }
  }
}
