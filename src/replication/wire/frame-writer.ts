import { crc32c } from '../../lib/crc32c.ts'
import type { BufferOwner, SlabOutput } from '../../net/slab-output.ts'
import type { PeerRequest } from '../peer-network.ts'
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
    const bodyBytes = body.length
    const contentBytes = bodyBytes + payloadLengthBytes
    const isShort = contentBytes < DIRECT_BYTES_MIN
    const at = this.#output.reserve(REQUEST_HEADER_BYTES + (isShort ? contentBytes : 0))
    const { slab } = this.#output
    const contentAt = at + REQUEST_HEADER_BYTES
    let checksum = 0
    if (isShort && contentBytes > 0) {
      body.copy(slab, contentAt)
      payload.copy(slab, contentAt + bodyBytes, payloadAt, payloadAt + payloadLengthBytes)
      checksum = crc32c(slab, contentAt, contentBytes)
    } else if (!isShort) {
      checksum = checksumOf(body, payload, payloadAt, payloadLengthBytes)
    }
    putRequest(slab, at, request, id, volume, bodyBytes, checksum)
    this.#output.commit(contentAt + (isShort ? contentBytes : 0))
    if (isShort) return
    if (bodyBytes > 0) this.#output.append(body, bodyBytes, BORROWED)
    if (payloadLengthBytes === 0) return
    const whole = payload.subarray(payloadAt, payloadAt + payloadLengthBytes)
    this.#output.append(whole, payloadLengthBytes, BORROWED)
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
    const bodyBytes = body.length
    const contentBytes = bodyBytes + dataBytes
    const isShort = contentBytes < DIRECT_BYTES_MIN
    const at = this.#output.reserve(SHORT_HEADER_BYTES + (isShort ? contentBytes : 0))
    const { slab } = this.#output
    const contentAt = at + SHORT_HEADER_BYTES
    let checksum = 0
    if (isShort && contentBytes > 0) {
      body.copy(slab, contentAt)
      data.copy(slab, contentAt + bodyBytes, dataAt, dataAt + dataBytes)
      checksum = crc32c(slab, contentAt, contentBytes)
    } else if (!isShort) {
      checksum = checksumOf(body, data, dataAt, dataBytes)
    }
    putShort(slab, at, FrameType.reply, status, id, failedAtBytes, bodyBytes, dataBytes, checksum)
    this.#output.commit(contentAt + (isShort ? contentBytes : 0))
    if (isShort) return owner?.give(data)
    if (bodyBytes > 0) this.#output.append(body, bodyBytes, BORROWED)
    if (dataBytes > 0) this.#output.append(data, dataBytes, owner ?? BORROWED)
    else owner?.give(data)
  }

  ping(type: typeof FrameType.ping | typeof FrameType.pong, value: number): void {
    this.#short(type, 0, value, NOTHING)
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
