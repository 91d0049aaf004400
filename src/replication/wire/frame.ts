import { crc32cOfHeader } from '../../lib/crc32c.ts'
import type { PeerRequest } from '../peer-network.ts'
import { BODY_BYTES_MAX, PAYLOAD_BYTES_MAX } from './limits.ts'

/** docs/design/004-peer-wire.md. Numbers never change; a version adds some. */
export const FrameType = { request: 1, reply: 2, volumeName: 3, ping: 4, pong: 5 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** Why what came cannot be taken; the connection ends with it. */
export type FrameFault =
  | 'badHeaderChecksum'
  | 'badContentChecksum'
  | 'unknownFrameType'
  | 'numberTooLarge'
  | 'bodyTooLong'
  | 'payloadTooLong'
  | 'badBody'
  | 'unexpectedFrame'
  | 'unknownKind'
  | 'badVolumeName'
  | 'unknownVolumeNumber'
  | 'unknownRequest'
  | 'replyTooLong'
  | 'replyTooShort'

/** What both kinds of frame begin with; `code` is a request's kind and a reply's status. */
const FRAME_AT = { checksum: 0, type: 4, code: 5, flags: 6, id: 8 } as const
const REQUEST_AT = {
  volume: 12,
  epoch: 16,
  setVersion: 24,
  offset: 32,
  length: 40,
  operation: 48,
  watermark: 56,
  stream: 64,
  sequence: 72,
  stamp: 80,
  bodyBytes: 84,
  payloadBytes: 88,
  contentChecksum: 92,
} as const
const SHORT_AT = { contentChecksum: 12, value: 16, bodyBytes: 24, payloadBytes: 28 } as const

/** From the first byte of a frame to the one that tells its size. */
export const FRAME_TYPE_END = FRAME_AT.type + 1
export const REQUEST_HEADER_BYTES = 96
export const SHORT_HEADER_BYTES = 32
const CHECKED_FROM = FRAME_AT.type

const WORD = 2 ** 32
/** Upper words of numbers that are exact. */
const HIGH_MAX = 2 ** 21 - 1

/** A decoded header, used again for every frame of a connection. Which fields count depends on `type`. */
export class FrameHeader {
  type: FrameType = FrameType.ping
  code = 0
  flags = 0
  id = 0
  volume = 0
  epoch = 0
  setVersion = 0
  offsetBytes = 0
  lengthBytes = 0
  operation = 0
  watermark = 0
  stream = 0
  sequence = 0
  stamp = 0
  /** Of short frames: the first byte at fault, or what a ping carries. */
  value = 0
  bodyBytes = 0
  payloadBytes = 0
  contentChecksum = 0
}

/** Length of the header that begins at `at`, 0 for a type that nobody knows. FRAME_TYPE_END bytes are there. */
export function headerBytesAt(from: Buffer, at: number): number {
  const type = from[at + FRAME_AT.type]!
  if (type === FrameType.request) return REQUEST_HEADER_BYTES
  return type >= FrameType.reply && type <= FrameType.pong ? SHORT_HEADER_BYTES : 0
}

/** A write goes to at most four other members, each by a connection of its own with a slab that is being filled. */
const VIEWS_KEPT = 4

/**
 * A DataView is the cheapest way to words that need not be aligned; those of the buffers that were read, or written,
 * last are kept, since to make one costs more than to fill a header through it.
 */
class WordViews {
  readonly #of: Buffer[] = Array.from({ length: VIEWS_KEPT }, () => Buffer.alloc(0))
  readonly #views = this.#of.map(buffer => new DataView(buffer.buffer))
  #next = 0

  on(buffer: Buffer): DataView {
    for (let i = 0; i < VIEWS_KEPT; i++) if (this.#of[i] === buffer) return this.#views[i]!
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
    this.#of[this.#next] = buffer
    this.#views[this.#next] = view
    this.#next = (this.#next + 1) % VIEWS_KEPT
    return view
  }
}

const reading = new WordViews()
const writing = new WordViews()

/** Decodes the header at `at`, all of which is there. Null, or why it is refused; `into` is spoilt then. */
export function decodeHeader(
  from: Buffer,
  at: number,
  headerBytes: number,
  into: FrameHeader,
): FrameFault | null {
  const view = reading.on(from)
  const checked = headerBytes - CHECKED_FROM
  if (view.getUint32(at, true) !== crc32cOfHeader(from, at + CHECKED_FROM, checked))
    return 'badHeaderChecksum'
  into.type = from[at + FRAME_AT.type] as FrameType
  into.code = from[at + FRAME_AT.code]!
  into.flags = view.getUint16(at + FRAME_AT.flags, true)
  into.id = view.getUint32(at + FRAME_AT.id, true)
  const isExact =
    into.type === FrameType.request ? decodeRequest(view, at, into) : decodeShort(view, at, into)
  if (!isExact) return 'numberTooLarge'
  if (into.bodyBytes > BODY_BYTES_MAX) return 'bodyTooLong'
  return into.payloadBytes > PAYLOAD_BYTES_MAX ? 'payloadTooLong' : null
}

function decodeRequest(from: DataView, at: number, into: FrameHeader): boolean {
  into.volume = from.getUint32(at + REQUEST_AT.volume, true)
  into.epoch = readNumber(from, at + REQUEST_AT.epoch)
  into.setVersion = readNumber(from, at + REQUEST_AT.setVersion)
  into.offsetBytes = readNumber(from, at + REQUEST_AT.offset)
  into.lengthBytes = readNumber(from, at + REQUEST_AT.length)
  into.operation = readNumber(from, at + REQUEST_AT.operation)
  into.watermark = readNumber(from, at + REQUEST_AT.watermark)
  into.stream = readNumber(from, at + REQUEST_AT.stream)
  into.sequence = readNumber(from, at + REQUEST_AT.sequence)
  into.stamp = from.getUint32(at + REQUEST_AT.stamp, true)
  into.value = 0
  into.bodyBytes = from.getUint32(at + REQUEST_AT.bodyBytes, true)
  into.payloadBytes = from.getUint32(at + REQUEST_AT.payloadBytes, true)
  into.contentChecksum = from.getUint32(at + REQUEST_AT.contentChecksum, true)
  // NaN, from any of them, is never at least 0.
  const { epoch, setVersion, offsetBytes, lengthBytes, operation, watermark, stream, sequence } = into
  return epoch + setVersion + offsetBytes + lengthBytes + operation + watermark + stream + sequence >= 0
}

function decodeShort(from: DataView, at: number, into: FrameHeader): boolean {
  into.contentChecksum = from.getUint32(at + SHORT_AT.contentChecksum, true)
  into.value = readNumber(from, at + SHORT_AT.value)
  into.bodyBytes = from.getUint32(at + SHORT_AT.bodyBytes, true)
  into.payloadBytes = from.getUint32(at + SHORT_AT.payloadBytes, true)
  return into.value >= 0
}

/** Writes a request's header at `at` and answers where it ends. Numbers are integers below 2^53. */
export function putRequest(
  slab: Buffer,
  at: number,
  request: PeerRequest,
  id: number,
  volume: number,
  bodyBytes: number,
  contentChecksum: number,
): number {
  const view = writing.on(slab)
  putCommon(view, at, FrameType.request, request.kind, request.flags, id)
  view.setUint32(at + REQUEST_AT.volume, volume, true)
  putNumber(view, at + REQUEST_AT.epoch, request.epoch)
  putNumber(view, at + REQUEST_AT.setVersion, request.setVersion)
  putNumber(view, at + REQUEST_AT.offset, request.offsetBytes)
  putNumber(view, at + REQUEST_AT.length, request.lengthBytes)
  putNumber(view, at + REQUEST_AT.operation, request.operation)
  putNumber(view, at + REQUEST_AT.watermark, request.watermark)
  putNumber(view, at + REQUEST_AT.stream, request.stream)
  putNumber(view, at + REQUEST_AT.sequence, request.sequence)
  view.setUint32(at + REQUEST_AT.stamp, request.stamp, true)
  view.setUint32(at + REQUEST_AT.bodyBytes, bodyBytes, true)
  view.setUint32(at + REQUEST_AT.payloadBytes, request.payloadLengthBytes, true)
  view.setUint32(at + REQUEST_AT.contentChecksum, contentChecksum, true)
  return seal(slab, view, at, REQUEST_HEADER_BYTES)
}

/** Writes a short frame's header at `at` and answers where it ends. */
export function putShort(
  slab: Buffer,
  at: number,
  type: FrameType,
  code: number,
  id: number,
  value: number,
  bodyBytes: number,
  payloadBytes: number,
  contentChecksum: number,
): number {
  const view = writing.on(slab)
  putCommon(view, at, type, code, 0, id)
  view.setUint32(at + SHORT_AT.contentChecksum, contentChecksum, true)
  putNumber(view, at + SHORT_AT.value, value)
  view.setUint32(at + SHORT_AT.bodyBytes, bodyBytes, true)
  view.setUint32(at + SHORT_AT.payloadBytes, payloadBytes, true)
  return seal(slab, view, at, SHORT_HEADER_BYTES)
}

function putCommon(
  view: DataView,
  at: number,
  type: FrameType,
  code: number,
  flags: number,
  id: number,
): void {
  view.setUint8(at + FRAME_AT.type, type)
  view.setUint8(at + FRAME_AT.code, code)
  view.setUint16(at + FRAME_AT.flags, flags, true)
  view.setUint32(at + FRAME_AT.id, id, true)
}

function seal(slab: Buffer, view: DataView, at: number, headerBytes: number): number {
  const checksum = crc32cOfHeader(slab, at + CHECKED_FROM, headerBytes - CHECKED_FROM)
  view.setUint32(at, checksum, true)
  return at + headerBytes
}

function putNumber(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / WORD)
  view.setUint32(at, value - high * WORD, true)
  view.setUint32(at + 4, high, true)
}

/** NaN above 2^53. */
function readNumber(from: DataView, at: number): number {
  const high = from.getUint32(at + 4, true)
  return high > HIGH_MAX ? Number.NaN : high * WORD + from.getUint32(at, true)
}
