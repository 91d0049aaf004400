import { CHECKSUM_BLOCK_BYTES, checksumBlocks } from '../../lib/block-checksums.ts'
import { crc32c } from '../../lib/crc32c.ts'
import type { BufferPool } from '../../net/buffer-pool.ts'
import { PeerRequestKind } from '../peer-network.ts'
import {
  decodeHeader,
  FRAME_TYPE_END,
  type FrameFault,
  FrameHeader,
  FrameType,
  headerBytesAt,
  REQUEST_HEADER_BYTES,
} from './frame.ts'
import { DIRECT_BYTES_MIN } from './limits.ts'

export interface FrameSink {
  /**
   * Where the payload of this frame, which has no body, goes without a copy: its place is `targetAt` of what is
   * answered. Null: a pooled buffer will do. Asked only when the payload does not lie in one socket read.
   */
  payloadTarget(header: FrameHeader): Buffer | null
  readonly targetAt: number
  /**
   * A frame with its body and then its payload from `content[at]` on, verified. With `pooled`, `content` came from
   * the pool and is the sink's now; with `placed` it is what payloadTarget() answered; otherwise it is gone after
   * the call. `header` is used again. Answers why the frame cannot be taken, or null.
   */
  frameReceived(header: FrameHeader, content: Buffer, at: number, where: ContentIn): FrameFault | null
  /** Nothing can be made of what follows; nothing more is handed over. */
  streamFailed(fault: FrameFault): void
}

export const ContentIn = { receiveBuffer: 0, pooled: 1, placed: 2 } as const
export type ContentIn = (typeof ContentIn)[keyof typeof ContentIn]

const NOTHING = Buffer.alloc(0)

/** Payloads up to this are verified block by block: the store wants the same checksums. */
const SUMMED_BLOCKS_MAX = 1024
/** Of the payload that is being handed over, whichever reader's it is. */
const blockChecksums = new Uint32Array(SUMMED_BLOCKS_MAX)

/** Cuts a stream into frames and verifies them. Knows no socket. */
export class FrameReader {
  /** Of the payload that is being handed over, by block, where it is a write of whole blocks. */
  blockChecksums: Uint32Array | null = null
  readonly #sink: FrameSink
  readonly #pool: BufferPool
  readonly #header = new FrameHeader()
  /** The beginning of a header whose rest has not come. */
  readonly #partial = Buffer.alloc(REQUEST_HEADER_BYTES)
  #partialBytes = 0
  /** Content that is being gathered. */
  #content: Buffer | null = null
  #contentIn: ContentIn = ContentIn.pooled
  #contentAt = 0
  #fill = 0
  #missing = 0
  #ended = false

  constructor(sink: FrameSink, pool: BufferPool) {
    this.#sink = sink
    this.#pool = pool
  }

  /** Where the next bytes can go without being copied: the rest of a long payload. */
  directTarget(): Buffer | null {
    if (this.#content === null || this.#missing < DIRECT_BYTES_MIN) return null
    return this.#content.subarray(this.#fill, this.#fill + this.#missing)
  }

  /** So many bytes of directTarget() were filled. */
  receivedInPlace(lengthBytes: number): void {
    this.#fill += lengthBytes
    this.#missing -= lengthBytes
    if (this.#missing === 0) this.#contentDone()
  }

  /** Takes `chunk[0, end)`, all of it, before it returns. */
  receive(chunk: Buffer, end: number): void {
    let at = 0
    while (at < end && !this.#ended) {
      if (this.#content !== null) at += this.#gather(chunk, at, end)
      else if (this.#partialBytes > 0) at += this.#gatherHeader(chunk, at, end)
      else at = this.#takeFrame(chunk, at, end)
    }
  }

  close(): void {
    this.#ended = true
    if (this.#content !== null && this.#contentIn === ContentIn.pooled) this.#pool.give(this.#content)
    this.#content = null
  }

  /** A header begins at `at`; answers where to go on. */
  #takeFrame(chunk: Buffer, at: number, end: number): number {
    const headerBytes = end - at < FRAME_TYPE_END ? 0 : this.#headerBytes(chunk, at)
    if (this.#ended) return end
    if (headerBytes === 0 || end - at < headerBytes) {
      this.#partialBytes = chunk.copy(this.#partial, 0, at, end)
      return end
    }
    if (!this.#decode(chunk, at, headerBytes)) return end
    const contentAt = at + headerBytes
    const contentBytes = this.#header.bodyBytes + this.#header.payloadBytes
    if (contentBytes > end - contentAt) {
      this.#beginContent(contentBytes)
      return contentAt
    }
    this.#handOver(chunk, contentAt, ContentIn.receiveBuffer)
    return contentAt + contentBytes
  }

  #gatherHeader(chunk: Buffer, at: number, end: number): number {
    const have = this.#partialBytes
    const wanted = have < FRAME_TYPE_END ? FRAME_TYPE_END : this.#headerBytes(this.#partial, 0)
    if (this.#ended) return end - at
    const taken = chunk.copy(this.#partial, have, at, Math.min(end, at + wanted - have))
    this.#partialBytes += taken
    if (this.#partialBytes < wanted || wanted === FRAME_TYPE_END) return taken
    this.#partialBytes = 0
    if (!this.#decode(this.#partial, 0, wanted)) return end - at
    const contentBytes = this.#header.bodyBytes + this.#header.payloadBytes
    if (contentBytes === 0) this.#handOver(NOTHING, 0, ContentIn.receiveBuffer)
    else this.#beginContent(contentBytes)
    return taken
  }

  #headerBytes(from: Buffer, at: number): number {
    const headerBytes = headerBytesAt(from, at)
    if (headerBytes === 0) this.#fail('unknownFrameType')
    return headerBytes
  }

  #decode(from: Buffer, at: number, headerBytes: number): boolean {
    const fault = decodeHeader(from, at, headerBytes, this.#header)
    if (fault !== null) this.#fail(fault)
    return fault === null
  }

  #beginContent(contentBytes: number): void {
    const target = this.#header.bodyBytes === 0 ? this.#sink.payloadTarget(this.#header) : null
    this.#content = target ?? this.#pool.take(contentBytes)
    this.#contentIn = target === null ? ContentIn.pooled : ContentIn.placed
    this.#contentAt = target === null ? 0 : this.#sink.targetAt
    this.#fill = this.#contentAt
    this.#missing = contentBytes
  }

  #gather(chunk: Buffer, at: number, end: number): number {
    const length = Math.min(this.#missing, end - at)
    chunk.copy(this.#content!, this.#fill, at, at + length)
    this.receivedInPlace(length)
    return length
  }

  #contentDone(): void {
    const content = this.#content!
    this.#content = null
    this.#handOver(content, this.#contentAt, this.#contentIn)
  }

  #handOver(content: Buffer, at: number, where: ContentIn): void {
    const header = this.#header
    const contentBytes = header.bodyBytes + header.payloadBytes
    const blocks = summedBlocks(header)
    this.blockChecksums = blocks > 0 ? blockChecksums : null
    if (contentBytes > 0 && checksumOf(content, at, contentBytes, blocks) !== header.contentChecksum) {
      if (where === ContentIn.pooled) this.#pool.give(content)
      return this.#fail('badContentChecksum')
    }
    const fault = this.#sink.frameReceived(header, content, at, where)
    if (fault !== null) this.#fail(fault)
  }

  #fail(fault: FrameFault): void {
    if (this.#ended) return
    this.#ended = true
    this.#sink.streamFailed(fault)
  }
}

/** Into how many blocks the payload of a write falls; 0 for what is checked as one. */
function summedBlocks({ type, code, bodyBytes, payloadBytes }: FrameHeader): number {
  if (type !== FrameType.request || code !== PeerRequestKind.write || bodyBytes > 0) return 0
  if (payloadBytes % CHECKSUM_BLOCK_BYTES !== 0) return 0
  const blocks = payloadBytes / CHECKSUM_BLOCK_BYTES
  return blocks <= SUMMED_BLOCKS_MAX ? blocks : 0
}

function checksumOf(content: Buffer, at: number, contentBytes: number, blocks: number): number {
  return blocks > 0 ? checksumBlocks(content, at, blocks, blockChecksums) : crc32c(content, at, contentBytes)
}
