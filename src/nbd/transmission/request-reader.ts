import type { BufferPool } from '../../net/buffer-pool.ts'
import { DIRECT_RECEIVE_BYTES_MIN, LONG_PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX } from '../limits.ts'
import { COMPACT_REQUEST_BYTES, decodeRequest, EXTENDED_REQUEST_BYTES, NbdRequest } from '../wire/request.ts'

export type RequestFault = 'badRequestMagic' | 'payloadTooLong'

export interface RequestSink {
  /** False: no further request now. */
  readonly receiving: boolean
  /** A header was read and its payload is still to come: false means that the payload is not wanted. */
  wantsPayload(request: NbdRequest): boolean
  /**
   * A request with its payload in `data[dataAt, dataAt + request.payloadBytes)`, or null when there is none or it
   * was not wanted. With `pooled`, `data` came from the pool and is the sink's now; otherwise it is gone after
   * the call. `request` is used again.
   */
  requestReceived(request: NbdRequest, data: Buffer | null, dataAt: number, pooled: boolean): void
  /** Nothing can be made of what follows. */
  streamFailed(fault: RequestFault): void
}

/**
 * Cuts a stream into requests. Knows no socket. What a chunk holds whole is handed over in place; a payload that
 * is not all there is gathered in a buffer of the pool.
 */
export class RequestReader {
  readonly #sink: RequestSink
  readonly #pool: BufferPool
  readonly #extended: boolean
  readonly #headerBytes: number
  readonly #request = new NbdRequest()
  /** The beginning of a header whose rest has not come. */
  readonly #partial = Buffer.alloc(EXTENDED_REQUEST_BYTES)
  #partialBytes = 0
  #payload: Buffer | null = null
  #payloadFill = 0
  #payloadMissing = 0
  /** What came while the sink did not receive. */
  #backlog: Buffer | null = null
  #failed = false

  constructor(sink: RequestSink, pool: BufferPool, extended: boolean) {
    this.#sink = sink
    this.#pool = pool
    this.#extended = extended
    this.#headerBytes = extended ? EXTENDED_REQUEST_BYTES : COMPACT_REQUEST_BYTES
  }

  get hasBacklog(): boolean {
    return this.#backlog !== null
  }

  /** Bytes of a payload that is being gathered. */
  get heldBytes(): number {
    return this.#payload === null ? 0 : this.#payload.length
  }

  /** Where the next bytes can go without being copied: the rest of a long payload. */
  directTarget(): Buffer | null {
    if (this.#payload === null || this.#backlog !== null) return null
    if (this.#payloadMissing < DIRECT_RECEIVE_BYTES_MIN && !this.#isLong) return null
    return this.#payload.subarray(this.#payloadFill, this.#payloadFill + this.#payloadMissing)
  }

  /** The last request had a payload that is not worth receiving with its header. */
  get expectsLongPayload(): boolean {
    return this.#isLong && this.#payloadMissing === 0
  }

  /** So many bytes of directTarget() were filled. */
  receivedInPlace(lengthBytes: number): void {
    this.#payloadFill += lengthBytes
    this.#payloadMissing -= lengthBytes
    if (this.#payloadMissing === 0) this.#payloadDone()
  }

  /** Takes `chunk[0, lengthBytes)`; keeps a copy of what the sink does not receive yet. */
  receive(chunk: Buffer, lengthBytes: number): void {
    if (this.#backlog !== null) {
      this.#backlog = Buffer.concat([this.#backlog, chunk.subarray(0, lengthBytes)])
      return
    }
    const taken = this.#take(chunk, lengthBytes)
    if (taken < lengthBytes && !this.#failed) this.#backlog = Buffer.from(chunk.subarray(taken, lengthBytes))
  }

  /** Goes on with what was kept, now that the sink receives again. */
  resume(): void {
    const backlog = this.#backlog
    if (backlog === null) return
    this.#backlog = null
    const taken = this.#take(backlog, backlog.length)
    if (taken < backlog.length && !this.#failed) this.#backlog = backlog.subarray(taken)
  }

  close(): void {
    this.#failed = true
    this.#backlog = null
    if (this.#payload !== null) this.#pool.give(this.#payload)
    this.#payload = null
  }

  get #isLong(): boolean {
    return this.#request.payloadBytes >= LONG_PAYLOAD_BYTES_MIN
  }

  #take(chunk: Buffer, end: number): number {
    let at = 0
    while (at < end && !this.#failed) {
      if (this.#payloadMissing > 0) at += this.#takePayload(chunk, at, end)
      else if (!this.#sink.receiving) break
      else if (this.#partialBytes > 0 || end - at < this.#headerBytes) at += this.#takePartial(chunk, at, end)
      else at = this.#takeRequest(chunk, at, end)
    }
    return at
  }

  /** The common case: a whole header lies at `at`. Answers where to go on. */
  #takeRequest(chunk: Buffer, at: number, end: number): number {
    const dataAt = at + this.#headerBytes
    if (!this.#decode(chunk, at)) return end
    const { payloadBytes } = this.#request
    if (payloadBytes === 0) {
      this.#sink.requestReceived(this.#request, null, 0, false)
      return dataAt
    }
    if (payloadBytes <= end - dataAt && this.#sink.wantsPayload(this.#request)) {
      this.#sink.requestReceived(this.#request, chunk, dataAt, false)
      return dataAt + payloadBytes
    }
    this.#beginPayload()
    return dataAt
  }

  #takePartial(chunk: Buffer, at: number, end: number): number {
    const length = Math.min(this.#headerBytes - this.#partialBytes, end - at)
    chunk.copy(this.#partial, this.#partialBytes, at, at + length)
    this.#partialBytes += length
    if (this.#partialBytes < this.#headerBytes) return length
    this.#partialBytes = 0
    if (!this.#decode(this.#partial, 0)) return length
    if (this.#request.payloadBytes > 0) this.#beginPayload()
    else this.#sink.requestReceived(this.#request, null, 0, false)
    return length
  }

  #decode(from: Buffer, at: number): boolean {
    if (!decodeRequest(from, at, this.#extended, this.#request)) return this.#fail('badRequestMagic')
    return this.#request.payloadBytes <= PAYLOAD_BYTES_MAX || this.#fail('payloadTooLong')
  }

  #fail(fault: RequestFault): false {
    this.#failed = true
    this.#sink.streamFailed(fault)
    return false
  }

  #beginPayload(): void {
    const { payloadBytes } = this.#request
    this.#payload = this.#sink.wantsPayload(this.#request) ? this.#pool.take(payloadBytes) : null
    this.#payloadFill = 0
    this.#payloadMissing = payloadBytes
  }

  #takePayload(chunk: Buffer, at: number, end: number): number {
    const length = Math.min(this.#payloadMissing, end - at)
    if (this.#payload !== null) chunk.copy(this.#payload, this.#payloadFill, at, at + length)
    this.#payloadFill += length
    this.#payloadMissing -= length
    if (this.#payloadMissing === 0) this.#payloadDone()
    return length
  }

  #payloadDone(): void {
    const payload = this.#payload
    this.#payload = null
    this.#sink.requestReceived(this.#request, payload, 0, payload !== null)
  }
}
