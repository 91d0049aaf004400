import { crc32c } from '../../lib/crc32c.ts'
import type { BufferOwner, SlabOutput } from '../../net/slab-output.ts'
import { type PeerRequest, UNKNOWN_CHECKSUM } from '../peer-network.ts'
import { FrameType, putRequest, putShort, REQUEST_HEADER_BYTES, SHORT_HEADER_BYTES } from './frame.ts'
import { DIRECT_BYTES_MIN } from './limits.ts'

const NOTHING = Buffer.alloc(0)

/** For buffers that belong to somebody else, who learns by other means when they are free. */
const BORROWED: BufferOwner = { give() {} }

/** Writes frames into a connection's output: short contents behind their header, long ones by reference. */
export class FrameWriter {
  readonly #output: SlabOutput
  /** Numbers that this connection has given to volumes. */
  readonly #volumes = new Map<string, number>()
  /** The volume of the last request: runs of requests name one. */
  #recentVolume = ''
  #recentNumber = 0
  /** Of the frame that is being written. */
  #isShort = true
  #checksum = 0
  #endAt = 0

  constructor(output: SlabOutput) {
    this.#output = output
  }

  get volumesNamed(): number {
    return this.#volumes.size
  }

  /** `body` is JSON or empty. The request's payload stays referenced until it is replied to, or the socket is gone. */
  request(request: PeerRequest, id: number, body: Buffer): void {
    const volume = this.#numberOf(request.volume)
    const { payload, payloadAt, payloadLengthBytes } = request
    const known = body.length === 0 ? request.payloadChecksum : UNKNOWN_CHECKSUM
    const at = this.#begin(REQUEST_HEADER_BYTES, body, payload, payloadAt, payloadLengthBytes, known)
    putRequest(this.#output.slab, at, request, id, volume, body.length, this.#checksum)
    this.#end(body, payload, payloadAt, payloadLengthBytes, BORROWED)
  }

  /**
   * A reply with `data[dataAt, dataAt + dataBytes)`. With an `owner`, `data` is given up with this, begins at 0 and
   * may be sent by reference; without, it is copied and fewer than DIRECT_BYTES_MIN.
   */
  reply(
    id: number,
    status: number,
    failedAtBytes: number,
    body: Buffer,
    data: Buffer,
    dataAt: number,
    dataBytes: number,
    owner: BufferOwner | null,
  ): void {
    const at = this.#begin(SHORT_HEADER_BYTES, body, data, dataAt, dataBytes, UNKNOWN_CHECKSUM)
    const { slab } = this.#output
    putShort(slab, at, FrameType.reply, status, id, failedAtBytes, body.length, dataBytes, this.#checksum)
    this.#end(body, data, dataAt, dataBytes, owner ?? BORROWED)
  }

  ping(type: typeof FrameType.ping | typeof FrameType.pong, value: number): void {
    this.#short(type, 0, value, NOTHING)
  }

  /** Makes room for a frame, with its content behind it where that is short; answers where the header goes. */
  #begin(
    headerBytes: number,
    body: Buffer,
    data: Buffer,
    dataAt: number,
    dataBytes: number,
    knownChecksum: number,
  ): number {
    const contentBytes = body.length + dataBytes
    this.#isShort = contentBytes < DIRECT_BYTES_MIN
    const at = this.#output.reserve(headerBytes + (this.#isShort ? contentBytes : 0))
    const contentAt = at + headerBytes
    this.#endAt = contentAt
    this.#checksum = knownChecksum
    if (knownChecksum === UNKNOWN_CHECKSUM) this.#checksum = checksumOf(body, data, dataAt, dataBytes)
    if (this.#isShort && contentBytes > 0) {
      const { slab } = this.#output
      if (body.length > 0) body.copy(slab, contentAt)
      data.copy(slab, contentAt + body.length, dataAt, dataAt + dataBytes)
      this.#endAt += contentBytes
    }
    return at
  }

  /** The header is written: what is too long to lie behind it follows by reference. */
  #end(body: Buffer, data: Buffer, dataAt: number, dataBytes: number, owner: BufferOwner): void {
    this.#output.commit(this.#endAt)
    if (this.#isShort) return owner.give(data)
    if (body.length > 0) this.#output.append(body, body.length, BORROWED)
    if (dataBytes === 0) return owner.give(data)
    this.#output.append(dataAt === 0 ? data : data.subarray(dataAt), dataBytes, owner)
  }

  #numberOf(volume: string): number {
    if (volume === this.#recentVolume) return this.#recentNumber
    let number = volume === '' ? 0 : this.#volumes.get(volume)
    if (number === undefined) {
      number = this.#volumes.size + 1
      this.#volumes.set(volume, number)
      this.#short(FrameType.volumeName, number, 0, Buffer.from(volume))
    }
    this.#recentVolume = volume
    this.#recentNumber = number
    return number
  }

  #short(type: FrameType, id: number, value: number, body: Buffer): void {
    const at = this.#output.reserve(SHORT_HEADER_BYTES + body.length)
    const { slab } = this.#output
    const checksum = body.length === 0 ? 0 : crc32c(body)
    const bodyAt = putShort(slab, at, type, 0, id, value, body.length, 0, checksum)
    this.#output.commit(bodyAt + body.copy(slab, bodyAt))
  }
}

function checksumOf(body: Buffer, data: Buffer, dataAt: number, dataBytes: number): number {
  const ofBody = body.length === 0 ? undefined : crc32c(body)
  return dataBytes === 0 ? (ofBody ?? 0) : crc32c(data, dataAt, dataBytes, ofBody)
}
