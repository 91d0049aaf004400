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

/** Decodes the header at `at`, all of which is there. Null, or why it is refused; `into` is spoilt then. */
export function decodeHeader(
  from: Buffer,
  at: number,
  headerBytes: number,
  into: FrameHeader,
): FrameFault | null {
  const checked = headerBytes - CHECKED_FROM
  if (from.readUInt32LE(at) !== crc32cOfHeader(from, at + CHECKED_FROM, checked)) return 'badHeaderChecksum'
  into.type = from[at + FRAME_AT.type] as FrameType
  into.code = from[at + FRAME_AT.code]!
  into.flags = from.readUInt16LE(at + FRAME_AT.flags)
  into.id = from.readUInt32LE(at + FRAME_AT.id)
  const isExact =
    into.type === FrameType.request ? decodeRequest(from, at, into) : decodeShort(from, at, into)
  if (!isExact) return 'numberTooLarge'
  if (into.bodyBytes > BODY_BYTES_MAX) return 'bodyTooLong'
  return into.payloadBytes > PAYLOAD_BYTES_MAX ? 'payloadTooLong' : null
}

function decodeRequest(from: Buffer, at: number, into: FrameHeader): boolean {
  into.volume = from.readUInt32LE(at + REQUEST_AT.volume)
  into.epoch = readNumber(from, at + REQUEST_AT.epoch)
  into.setVersion = readNumber(from, at + REQUEST_AT.setVersion)
  into.offsetBytes = readNumber(from, at + REQUEST_AT.offset)
  into.lengthBytes = readNumber(from, at + REQUEST_AT.length)
  into.operation = readNumber(from, at + REQUEST_AT.operation)
  into.watermark = readNumber(from, at + REQUEST_AT.watermark)
  into.stream = readNumber(from, at + REQUEST_AT.stream)
  into.sequence = readNumber(from, at + REQUEST_AT.sequence)
  into.stamp = from.readUInt32LE(at + REQUEST_AT.stamp)
  into.value = 0
  into.bodyBytes = from.readUInt32LE(at + REQUEST_AT.bodyBytes)
  into.payloadBytes = from.readUInt32LE(at + REQUEST_AT.payloadBytes)
  into.contentChecksum = from.readUInt32LE(at + REQUEST_AT.contentChecksum)
  // NaN, from any of them, is never at least 0.
  const { epoch, setVersion, offsetBytes, lengthBytes, operation, watermark, stream, sequence } = into
  return epoch + setVersion + offsetBytes + lengthBytes + operation + watermark + stream + sequence >= 0
}

function decodeShort(from: Buffer, at: number, into: FrameHeader): boolean {
  into.contentChecksum = from.readUInt32LE(at + SHORT_AT.contentChecksum)
  into.value = readNumber(from, at + SHORT_AT.value)
  into.bodyBytes = from.readUInt32LE(at + SHORT_AT.bodyBytes)
  into.payloadBytes = from.readUInt32LE(at + SHORT_AT.payloadBytes)
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
  putCommon(slab, at, FrameType.request, request.kind, request.flags, id)
  slab.writeUInt32LE(volume, at + REQUEST_AT.volume)
  putNumber(slab, at + REQUEST_AT.epoch, request.epoch)
  putNumber(slab, at + REQUEST_AT.setVersion, request.setVersion)
  putNumber(slab, at + REQUEST_AT.offset, request.offsetBytes)
  putNumber(slab, at + REQUEST_AT.length, request.lengthBytes)
  putNumber(slab, at + REQUEST_AT.operation, request.operation)
  putNumber(slab, at + REQUEST_AT.watermark, request.watermark)
  putNumber(slab, at + REQUEST_AT.stream, request.stream)
  putNumber(slab, at + REQUEST_AT.sequence, request.sequence)
  slab.writeUInt32LE(request.stamp, at + REQUEST_AT.stamp)
  slab.writeUInt32LE(bodyBytes, at + REQUEST_AT.bodyBytes)
  slab.writeUInt32LE(request.payloadLengthBytes, at + REQUEST_AT.payloadBytes)
  slab.writeUInt32LE(contentChecksum, at + REQUEST_AT.contentChecksum)
  return seal(slab, at, REQUEST_HEADER_BYTES)
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
  putCommon(slab, at, type, code, 0, id)
  slab.writeUInt32LE(contentChecksum, at + SHORT_AT.contentChecksum)
  putNumber(slab, at + SHORT_AT.value, value)
  slab.writeUInt32LE(bodyBytes, at + SHORT_AT.bodyBytes)
  slab.writeUInt32LE(payloadBytes, at + SHORT_AT.payloadBytes)
  return seal(slab, at, SHORT_HEADER_BYTES)
}

function putCommon(slab: Buffer, at: number, type: FrameType, code: number, flags: number, id: number): void {
  slab[at + FRAME_AT.type] = type
  slab[at + FRAME_AT.code] = code
  slab.writeUInt16LE(flags, at + FRAME_AT.flags)
  slab.writeUInt32LE(id, at + FRAME_AT.id)
}

function seal(slab: Buffer, at: number, headerBytes: number): number {
  const checksum = crc32cOfHeader(slab, at + CHECKED_FROM, headerBytes - CHECKED_FROM)
  return slab.writeUInt32LE(checksum, at) + headerBytes - CHECKED_FROM
}

function putNumber(slab: Buffer, at: number, value: number): void {
  const high = Math.floor(value / WORD)
  slab.writeUInt32LE(value - high * WORD, at)
  slab.writeUInt32LE(high, at + 4)
}

/** NaN above 2^53. */
function readNumber(from: Buffer, at: number): number {
  const high = from.readUInt32LE(at + 4)
  return high > HIGH_MAX ? Number.NaN : high * WORD + from.readUInt32LE(at)
}
