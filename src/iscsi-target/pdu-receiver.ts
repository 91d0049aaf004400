import type { BufferPool } from '../net/buffer-pool.ts'
import { DIRECT_RECEIVE_BYTES_MIN, LOGIN_DATA_SEGMENT_BYTES_MAX } from './limits.ts'
import { AHS_BYTES_MAX, ahsBytesOf, BHS_BYTES, dataSegmentBytesOf, paddedBytes } from './wire/bhs.ts'
import { continueDigest, DIGEST_BYTES, digestMatches } from './wire/digest.ts'

/** Faults after which the byte stream cannot be trusted: the connection ends. RFC 7143 §7.7, §11.2.1.6. */
export type StreamFault = 'headerDigest' | 'dataSegmentTooLong'

/** Where a payload is to be received. */
export interface PayloadPlace {
  buffer: Buffer
  at: number
}

export interface PduSink {
  /** False stops the receiver after the present PDU; the bytes that follow wait for resume(). */
  readonly receiving: boolean
  /** A whole PDU: its header with AHS at `pdu[at]`, its data at `data[dataAt]`; both valid during the call only. */
  pduReceived(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): void
  /** Sets `place` to the final home of a payload that has only begun to arrive, if there is one. */
  placePayload(pdu: Buffer, at: number, dataLength: number, place: PayloadPlace): boolean
  dataDigestFailed(pdu: Buffer, at: number): void
  streamFailed(fault: StreamFault): void
}

const NO_BYTES = Buffer.alloc(0)
const TRAILER_BYTES_MAX = 3 + DIGEST_BYTES

/**
 * Cuts a byte stream into PDUs: every one in a chunk in a single pass, borrowed from the chunk where it is whole.
 * Knows no socket. A PDU that is cut by the end of a chunk is collected: its header here, its payload in the
 * place that the sink names or in a pooled buffer.
 */
export class PduReceiver {
  headerDigest = false
  dataDigest = false
  /** Our MaxRecvDataSegmentLength as it holds now. */
  dataSegmentBytesMax = LOGIN_DATA_SEGMENT_BYTES_MAX
  readonly #sink: PduSink
  readonly #pool: BufferPool
  #failed = false

  readonly #header = Buffer.alloc(BHS_BYTES + AHS_BYTES_MAX + DIGEST_BYTES)
  #headerBytes = 0
  readonly #place: PayloadPlace = { buffer: NO_BYTES, at: 0 }
  /** `#place.buffer` is a pooled one of ours and not the sink's. */
  #placeIsOurs = false
  #inPayload = false
  #payloadLength = 0
  #payloadBytes = 0
  readonly #trailer = Buffer.alloc(TRAILER_BYTES_MAX)
  #trailerLength = 0
  #trailerBytes = 0

  #backlog: Buffer | null = null
  #backlogAt = 0
  #backlogEnd = 0

  constructor(sink: PduSink, pool: BufferPool) {
    this.#sink = sink
    this.#pool = pool
  }

  /** Bytes wait for resume(): nothing may be received before. */
  get hasBacklog(): boolean {
    return this.#backlog !== null
  }

  /** Handles `chunk[0, lengthBytes)`, which may be overwritten afterwards. */
  receive(chunk: Buffer, lengthBytes: number): void {
    const at = this.#parse(chunk, 0, lengthBytes)
    if (at < lengthBytes && !this.#failed) this.#keep(chunk, at, lengthBytes)
  }

  /** Goes on with what was kept when the sink stopped receiving. */
  resume(): void {
    const backlog = this.#backlog
    if (backlog === null) return
    this.#backlogAt = this.#parse(backlog, this.#backlogAt, this.#backlogEnd)
    if (this.#backlogAt < this.#backlogEnd && !this.#failed) return
    this.#backlog = null
    this.#pool.give(backlog)
  }

  /** The rest of a large payload, to be received in place and told with receivedInPlace(); or null. */
  directTarget(): Buffer | null {
    if (!this.#inPayload) return null
    const from = this.#place.at + this.#payloadBytes
    const left = this.#payloadLength - this.#payloadBytes
    return left < DIRECT_RECEIVE_BYTES_MIN ? null : this.#place.buffer.subarray(from, from + left)
  }

  receivedInPlace(lengthBytes: number): void {
    this.#payloadBytes += lengthBytes
    if (this.#payloadBytes === this.#payloadLength && this.#trailerLength === 0) this.#finishPayload()
  }

  /** True while a payload is being received into `buffer`, which must not be given away meanwhile. */
  isReceivingInto(buffer: Buffer): boolean {
    return this.#inPayload && this.#place.buffer === buffer
  }

  /** Gives pooled buffers back; nothing is received afterwards. */
  close(): void {
    this.#failed = true
    this.#releasePlace()
    if (this.#backlog !== null) this.#pool.give(this.#backlog)
    this.#backlog = null
  }

  #parse(chunk: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.#sink.receiving && !this.#failed) {
      at = this.#headerBytes > 0 ? this.#continue(chunk, at, end) : this.#next(chunk, at, end)
    }
    return at
  }

  #keep(chunk: Buffer, at: number, end: number): void {
    const backlog = this.#pool.take(end - at)
    chunk.copy(backlog, 0, at, end)
    this.#backlog = backlog
    this.#backlogAt = 0
    this.#backlogEnd = end - at
  }

  /** A PDU that begins at `at`; answers where the next one begins. */
  #next(chunk: Buffer, at: number, end: number): number {
    if (end - at < BHS_BYTES) return this.#continue(chunk, at, end)
    const headerLength = this.#headerLength(chunk, at)
    const dataLength = dataSegmentBytesOf(chunk, at)
    const dataAt = at + headerLength
    const padded = paddedBytes(dataLength)
    const next = dataAt + padded + (this.dataDigest && dataLength > 0 ? DIGEST_BYTES : 0)
    if (next > end || dataLength > this.dataSegmentBytesMax) return this.#continue(chunk, at, end)
    if (!this.#headerIsGood(chunk, at, headerLength)) return this.#fail('headerDigest', end)
    if (this.dataDigest && dataLength > 0 && !digestMatches(chunk, dataAt + padded, dataAt, padded)) {
      this.#sink.dataDigestFailed(chunk, at)
    } else {
      this.#sink.pduReceived(chunk, at, chunk, dataAt, dataLength)
    }
    return next
  }

  /** Collects more of a PDU that is not whole; answers how far it got. */
  #continue(chunk: Buffer, start: number, end: number): number {
    let at = start
    if (!this.#inPayload) {
      at = this.#collectHeader(chunk, at, end, BHS_BYTES)
      if (this.#headerBytes < BHS_BYTES) return at
      if (dataSegmentBytesOf(this.#header, 0) > this.dataSegmentBytesMax)
        return this.#fail('dataSegmentTooLong', end)
      const headerLength = this.#headerLength(this.#header, 0)
      at = this.#collectHeader(chunk, at, end, headerLength)
      if (this.#headerBytes < headerLength) return at
      if (!this.#headerIsGood(this.#header, 0, headerLength)) return this.#fail('headerDigest', end)
      if (!this.#beginPayload()) return at
    }
    const dataEnd = Math.min(end, at + this.#payloadLength - this.#payloadBytes)
    chunk.copy(this.#place.buffer, this.#place.at + this.#payloadBytes, at, dataEnd)
    this.#payloadBytes += dataEnd - at
    const trailerEnd = Math.min(end, dataEnd + this.#trailerLength - this.#trailerBytes)
    chunk.copy(this.#trailer, this.#trailerBytes, dataEnd, trailerEnd)
    this.#trailerBytes += trailerEnd - dataEnd
    if (this.#payloadBytes === this.#payloadLength && this.#trailerBytes === this.#trailerLength) {
      this.#finishPayload()
    }
    return trailerEnd
  }

  #collectHeader(chunk: Buffer, at: number, end: number, wanted: number): number {
    if (this.#headerBytes >= wanted) return at
    const upTo = Math.min(end, at + wanted - this.#headerBytes)
    chunk.copy(this.#header, this.#headerBytes, at, upTo)
    this.#headerBytes += upTo - at
    return upTo
  }

  #headerLength(pdu: Buffer, at: number): number {
    return BHS_BYTES + ahsBytesOf(pdu, at) + (this.headerDigest ? DIGEST_BYTES : 0)
  }

  #headerIsGood(pdu: Buffer, at: number, headerLength: number): boolean {
    const covered = headerLength - DIGEST_BYTES
    return !this.headerDigest || digestMatches(pdu, at + covered, at, covered)
  }

  /** Nothing of what follows, up to `end`, can be trusted. */
  #fail(fault: StreamFault, end: number): number {
    this.#failed = true
    this.#sink.streamFailed(fault)
    return end
  }

  /** False when there is no payload: then the PDU was delivered. */
  #beginPayload(): boolean {
    const dataLength = dataSegmentBytesOf(this.#header, 0)
    if (dataLength === 0) {
      this.#headerBytes = 0
      this.#sink.pduReceived(this.#header, 0, NO_BYTES, 0, 0)
      return false
    }
    this.#placeIsOurs = !this.#sink.placePayload(this.#header, 0, dataLength, this.#place)
    if (this.#placeIsOurs) {
      this.#place.buffer = this.#pool.take(dataLength)
      this.#place.at = 0
    }
    this.#inPayload = true
    this.#payloadLength = dataLength
    this.#payloadBytes = 0
    this.#trailerLength = paddedBytes(dataLength) - dataLength + (this.dataDigest ? DIGEST_BYTES : 0)
    this.#trailerBytes = 0
    return true
  }

  #finishPayload(): void {
    this.#headerBytes = 0
    this.#inPayload = false
    const { buffer, at } = this.#place
    if (this.dataDigest && !this.#collectedDigestMatches(buffer, at)) {
      this.#sink.dataDigestFailed(this.#header, 0)
    } else {
      this.#sink.pduReceived(this.#header, 0, buffer, at, this.#payloadLength)
    }
    this.#releasePlace()
  }

  #collectedDigestMatches(buffer: Buffer, at: number): boolean {
    const padding = this.#trailerLength - DIGEST_BYTES
    let digest = continueDigest(buffer, at, this.#payloadLength)
    if (padding > 0) digest = continueDigest(this.#trailer, 0, padding, digest)
    return this.#trailer.readUInt32LE(padding) === digest
  }

  #releasePlace(): void {
    if (this.#placeIsOurs) this.#pool.give(this.#place.buffer)
    this.#placeIsOurs = false
    this.#place.buffer = NO_BYTES
    this.#inPayload = false
  }
}
