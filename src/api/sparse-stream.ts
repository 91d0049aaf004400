import { HoldfastError } from '../errors/holdfast-error.ts'
import { crc32c } from '../lib/crc32c.ts'

/**
 * The sparse image stream of import and export, version 1. All integers are big-endian.
 *
 *   header  "HFSPARSE", version u32, zero u32, size of the image in bytes u64
 *   frame   kind u32, length u32, offset u64, CRC32C of the payload u32, then `length` bytes
 *
 * Data frames ascend and do not overlap; what lies between them is zeroes. An end frame closes the stream, its
 * offset repeats the size; a failure frame closes it early, its payload says why in UTF-8.
 */
export const SPARSE_STREAM_TYPE = 'application/vnd.holdfast.sparse'

export const FrameKind = { data: 1, end: 2, failure: 3 } as const
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind]

/** Bounds the memory that one frame costs at either end. */
export const FRAME_DATA_BYTES_MAX = 2 ** 20

const MAGIC = Buffer.from('HFSPARSE', 'latin1')
const VERSION = 1
const HEADER_AT = { magic: 0, version: 8, zero: 12, size: 16, end: 24 } as const
const FRAME_AT = { kind: 0, length: 4, offset: 8, crc: 16, end: 20 } as const

export interface SparseFrame {
  readonly kind: FrameKind
  readonly offsetBytes: number
  readonly data: Buffer
}

export function encodeHeader(sizeBytes: number): Buffer {
  const header = Buffer.alloc(HEADER_AT.end)
  MAGIC.copy(header, HEADER_AT.magic)
  header.writeUInt32BE(VERSION, HEADER_AT.version)
  header.writeBigUInt64BE(BigInt(sizeBytes), HEADER_AT.size)
  return header
}

/** The head of a frame; `data` goes out right behind it. */
export function encodeFrameHead(kind: FrameKind, offsetBytes: number, data: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_AT.end)
  head.writeUInt32BE(kind, FRAME_AT.kind)
  head.writeUInt32BE(data.length, FRAME_AT.length)
  head.writeBigUInt64BE(BigInt(offsetBytes), FRAME_AT.offset)
  head.writeUInt32BE(crc32c(data), FRAME_AT.crc)
  return head
}

/** Decodes a stream piece by piece; a frame's data is valid until the next is asked for. Throws ERR_IMAGE_INVALID. */
export class SparseReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)
  /** What spans chunks is put together here, time and again. */
  readonly #assembled = Buffer.allocUnsafeSlow(FRAME_DATA_BYTES_MAX)

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Size of the image in bytes. Comes first. */
  async readSize(): Promise<number> {
    const header = await this.#take(HEADER_AT.end)
    if (header.compare(MAGIC, 0, MAGIC.length, 0, MAGIC.length) !== 0) {
      throw invalid('the stream does not begin like a sparse image stream')
    }
    const version = header.readUInt32BE(HEADER_AT.version)
    if (version !== VERSION) throw invalid(`the stream has version ${version}, this daemon knows ${VERSION}`)
    return safeNumber(header.readBigUInt64BE(HEADER_AT.size))
  }

  /** The frames up to the end frame, which is not yielded. A failure frame is thrown as an error. */
  async *frames(sizeBytes: number): AsyncGenerator<SparseFrame> {
    let endOfLast = 0
    for (;;) {
      const frame = await this.#readFrame()
      if (frame.kind === FrameKind.failure)
        throw new HoldfastError('ERR_INTERNAL', frame.data.toString('utf8'))
      if (frame.kind === FrameKind.end) {
        if (frame.offsetBytes !== sizeBytes)
          throw invalid('the end of the stream names another size than its beginning')
        return
      }
      if (frame.offsetBytes < endOfLast) throw invalid('the frames of the stream overlap or go back')
      endOfLast = frame.offsetBytes + frame.data.length
      if (endOfLast > sizeBytes) throw invalid('a frame ends past the end of the image')
      yield frame
    }
  }

  async #readFrame(): Promise<SparseFrame> {
    const head = await this.#take(FRAME_AT.end)
    const kind = head.readUInt32BE(FRAME_AT.kind) as FrameKind
    const lengthBytes = head.readUInt32BE(FRAME_AT.length)
    if (kind < FrameKind.data || kind > FrameKind.failure || lengthBytes > FRAME_DATA_BYTES_MAX) {
      throw invalid('the stream has a frame that makes no sense')
    }
    const offsetBytes = safeNumber(head.readBigUInt64BE(FRAME_AT.offset))
    const crc = head.readUInt32BE(FRAME_AT.crc)
    const data = await this.#take(lengthBytes)
    if (crc32c(data) !== crc) throw invalid(`the stream is damaged at offset ${offsetBytes}`)
    return { kind, offsetBytes, data }
  }

  /** The next bytes, at most FRAME_DATA_BYTES_MAX, copied only when they span chunks. */
  async #take(lengthBytes: number): Promise<Buffer> {
    if (this.#rest.length >= lengthBytes) return this.#cut(lengthBytes)
    let have = 0
    while (have < lengthBytes) {
      if (this.#rest.length === 0) await this.#readChunk()
      const piece = this.#cut(Math.min(this.#rest.length, lengthBytes - have))
      have += piece.copy(this.#assembled, have)
    }
    return this.#assembled.subarray(0, lengthBytes)
  }

  #cut(lengthBytes: number): Buffer {
    const piece = this.#rest.subarray(0, lengthBytes)
    this.#rest = this.#rest.subarray(lengthBytes)
    return piece
  }

  async #readChunk(): Promise<void> {
    const next = await this.#chunks.next()
    if (next.done) throw invalid('the stream ends too early')
    this.#rest = next.value
  }
}

function safeNumber(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid('the stream names an offset that no volume has')
  return Number(value)
}

function invalid(message: string): HoldfastError {
  return new HoldfastError('ERR_IMAGE_INVALID', message)
}
