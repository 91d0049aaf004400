import type { BlockExtent } from '../../block/block-device.ts'
import type { BufferPool } from '../../net/buffer-pool.ts'
import type { SlabOutput } from '../../net/slab-output.ts'
import { ALLOCATION_CONTEXT_ID } from '../handshake/handshake.ts'
import { COPIED_READ_BYTES_MAX, READ_DATA_AT, SLAB_READ_BYTES_MAX } from '../limits.ts'
import { BlockState, NBD_REPLY_FLAG_DONE, ReplyStyle, ReplyType } from '../wire/constants.ts'
import { type Answered, chunkHeaderBytes, putChunkHeader, putSimpleReply } from '../wire/replies.ts'
import { isZero } from './zero-run.ts'

/** Offset of the content in OFFSET_DATA and OFFSET_HOLE. */
const CONTENT_OFFSET_BYTES = 8
const HOLE_PAYLOAD_BYTES = 12
/** Error, message length, and with ERROR_OFFSET an offset behind the message. */
const ERROR_FIXED_BYTES = 6
const ERROR_OFFSET_BYTES = 8
/** Room for the header of any style, a fixed payload and the longest sentence of the error table. */
const ERROR_ROOM_BYTES = 512

interface Read extends Answered {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Writes replies in the style that was negotiated, into a connection's output. */
export class ReplyWriter {
  readonly #output: SlabOutput
  readonly #pool: BufferPool
  readonly #style: ReplyStyle
  readonly #headerBytes: number
  /** From the start of a read's reply to its data. */
  readonly #readHeadBytes: number

  constructor(output: SlabOutput, pool: BufferPool, style: ReplyStyle) {
    this.#output = output
    this.#pool = pool
    this.#style = style
    this.#headerBytes = chunkHeaderBytes(style)
    this.#readHeadBytes = this.#headerBytes + (style === ReplyStyle.simple ? 0 : CONTENT_OFFSET_BYTES)
  }

  /** Makes room for a read of up to SLAB_READ_BYTES_MAX; its data goes to `slab` at what is answered. */
  beginRead(lengthBytes: number): number {
    return this.#output.reserve(this.#readHeadBytes + lengthBytes) + this.#readHeadBytes
  }

  /** The data of the read begun last is at `dataAt`. `whole` forbids to send a hole (NBD_CMD_FLAG_DF). */
  endRead(read: Read, dataAt: number, whole: boolean): void {
    const { slab } = this.#output
    const at = dataAt - this.#readHeadBytes
    const sparse = !whole && this.#style !== ReplyStyle.simple
    if (sparse && isZero(slab, dataAt, read.lengthBytes)) {
      this.#output.commit(this.#putHole(at, read, read.offsetBytes, read.lengthBytes, NBD_REPLY_FLAG_DONE))
      return
    }
    this.#putReadHead(slab, at, read)
    this.#output.commit(dataAt + read.lengthBytes)
  }

  /** A read whose data is at READ_DATA_AT of `buffer`, one of the pool, which is given up with this. */
  sendRead(read: Read, buffer: Buffer, whole: boolean): void {
    const { lengthBytes } = read
    if (lengthBytes <= COPIED_READ_BYTES_MAX) {
      const dataAt = this.beginRead(lengthBytes)
      buffer.copy(this.#output.slab, dataAt, READ_DATA_AT, READ_DATA_AT + lengthBytes)
      this.endRead(read, dataAt, whole)
      this.#pool.give(buffer)
    } else if (!whole && this.#style !== ReplyStyle.simple && hasHole(buffer, lengthBytes)) {
      this.#sendRuns(read, buffer)
      this.#pool.give(buffer)
    } else {
      const at = READ_DATA_AT - this.#readHeadBytes
      this.#putReadHead(buffer, at, read)
      this.#output.append(buffer, this.#readHeadBytes + lengthBytes, this.#pool, at)
    }
  }

  /** Success without data. */
  acknowledge(request: Answered): void {
    const at = this.#output.reserve(this.#headerBytes)
    const { slab } = this.#output
    this.#output.commit(
      this.#style === ReplyStyle.extended
        ? putChunkHeader(slab, at, this.#style, request, NBD_REPLY_FLAG_DONE, ReplyType.NONE, 0)
        : putSimpleReply(slab, at, request, 0),
    )
  }

  /** `failedAtBytes`: the offset at fault, where it is known and lies in the request. */
  fail(request: Answered, error: number, says: string, failedAtBytes: number | null = null): void {
    const at = this.#output.reserve(ERROR_ROOM_BYTES)
    const { slab } = this.#output
    if (this.#style === ReplyStyle.simple) {
      this.#output.commit(putSimpleReply(slab, at, request, error))
      return
    }
    const type = failedAtBytes === null ? ReplyType.ERROR : ReplyType.ERROR_OFFSET
    const messageBytes = Buffer.byteLength(says)
    const payloadBytes = ERROR_FIXED_BYTES + messageBytes + (failedAtBytes === null ? 0 : ERROR_OFFSET_BYTES)
    let next = putChunkHeader(slab, at, this.#style, request, NBD_REPLY_FLAG_DONE, type, payloadBytes)
    next = slab.writeUInt32BE(error, next)
    next = slab.writeUInt16BE(messageBytes, next)
    next += slab.write(says, next)
    if (failedAtBytes !== null) next = slab.writeBigUInt64BE(BigInt(failedAtBytes), next)
    this.#output.commit(next)
  }

  /** BLOCK_STATUS for base:allocation; `extents` has at least one and fits in a slab. */
  sendAllocation(request: Answered, extents: readonly BlockExtent[]): void {
    const extended = this.#style === ReplyStyle.extended
    const payloadBytes = extended ? 8 + 16 * extents.length : 4 + 8 * extents.length
    const at = this.#output.reserve(this.#headerBytes + payloadBytes)
    const { slab } = this.#output
    const type = extended ? ReplyType.BLOCK_STATUS_EXT : ReplyType.BLOCK_STATUS
    let next = putChunkHeader(slab, at, this.#style, request, NBD_REPLY_FLAG_DONE, type, payloadBytes)
    next = slab.writeUInt32BE(ALLOCATION_CONTEXT_ID, next)
    if (extended) next = slab.writeUInt32BE(extents.length, next)
    for (const { lengthBytes, mapped } of extents) {
      const state = mapped ? 0 : BlockState.HOLE | BlockState.ZERO
      if (extended) {
        next = slab.writeBigUInt64BE(BigInt(lengthBytes), next)
        next = slab.writeBigUInt64BE(BigInt(state), next)
      } else {
        next = slab.writeUInt32BE(lengthBytes, next)
        next = slab.writeUInt32BE(state, next)
      }
    }
    this.#output.commit(next)
  }

  /** Granule by granule; runs of zeroes become holes, the rest is copied into the output. */
  #sendRuns(read: Read, buffer: Buffer): void {
    const { offsetBytes, lengthBytes } = read
    for (let from = 0; from < lengthBytes; ) {
      const zero = granuleIsZero(buffer, from, lengthBytes)
      let to = endOfGranule(from, lengthBytes)
      while (zero && to < lengthBytes && granuleIsZero(buffer, to, lengthBytes))
        to = endOfGranule(to, lengthBytes)
      const flags = to === lengthBytes ? NBD_REPLY_FLAG_DONE : 0
      const at = this.#output.reserve(this.#readHeadBytes + SLAB_READ_BYTES_MAX)
      if (zero) {
        this.#output.commit(this.#putHole(at, read, offsetBytes + from, to - from, flags))
      } else {
        const { slab } = this.#output
        const dataAt = this.#putDataHead(slab, at, read, offsetBytes + from, to - from, flags)
        buffer.copy(slab, dataAt, READ_DATA_AT + from, READ_DATA_AT + to)
        this.#output.commit(dataAt + to - from)
      }
      from = to
    }
  }

  /** The head of a read that is answered in one piece. */
  #putReadHead(into: Buffer, at: number, read: Read): void {
    if (this.#style === ReplyStyle.simple) putSimpleReply(into, at, read, 0)
    else this.#putDataHead(into, at, read, read.offsetBytes, read.lengthBytes, NBD_REPLY_FLAG_DONE)
  }

  #putDataHead(
    into: Buffer,
    at: number,
    read: Answered,
    offsetBytes: number,
    lengthBytes: number,
    flags: number,
  ): number {
    const payloadBytes = CONTENT_OFFSET_BYTES + lengthBytes
    const next = putChunkHeader(into, at, this.#style, read, flags, ReplyType.OFFSET_DATA, payloadBytes)
    return putOffset(into, next, offsetBytes)
  }

  #putHole(at: number, read: Answered, offsetBytes: number, lengthBytes: number, flags: number): number {
    const { slab } = this.#output
    const type = ReplyType.OFFSET_HOLE
    const next = putChunkHeader(slab, at, this.#style, read, flags, type, HOLE_PAYLOAD_BYTES)
    return slab.writeUInt32BE(lengthBytes, putOffset(slab, next, offsetBytes))
  }
}

/** 64 bits without a bigint. */
function putOffset(slab: Buffer, at: number, offsetBytes: number): number {
  const high = Math.floor(offsetBytes / 2 ** 32)
  slab.writeUInt32BE(high, at)
  return slab.writeUInt32BE(offsetBytes - high * 2 ** 32, at + 4)
}

function endOfGranule(from: number, end: number): number {
  return Math.min(end, from + SLAB_READ_BYTES_MAX)
}

function granuleIsZero(buffer: Buffer, from: number, end: number): boolean {
  return isZero(buffer, READ_DATA_AT + from, endOfGranule(from, end) - from)
}

function hasHole(buffer: Buffer, lengthBytes: number): boolean {
  for (let from = 0; from < lengthBytes; from = endOfGranule(from, lengthBytes)) {
    if (granuleIsZero(buffer, from, lengthBytes)) return true
  }
  return false
}
