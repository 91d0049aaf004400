import {
  HandshakeFlag,
  IHAVEOPT,
  NBD_OPT_REPLY_MAGIC,
  NBD_STRING_BYTES_MAX,
  NBDMAGIC,
  NbdInfo,
  type OptionReply,
} from './constants.ts'

/** "Newstyle negotiation": what the server says first. */
export const GREETING_BYTES = 18
export const CLIENT_FLAGS_BYTES = 4
/** "Newstyle negotiation": an option as the client sends it, before its data. */
const OPTION_AT = { magic: 0, option: 8, length: 12 } as const
export const OPTION_HEADER_BYTES = 16
/** "Fixed newstyle negotiation": a reply to an option, before its data. */
const REPLY_AT = { magic: 0, option: 8, type: 12, length: 16 } as const
export const OPTION_REPLY_BYTES = 20

const UTF8 = new TextDecoder('utf-8', { fatal: true })

export function encodeGreeting(): Buffer {
  const greeting = Buffer.alloc(GREETING_BYTES)
  greeting.writeUInt32BE(NBDMAGIC[0], 0)
  greeting.writeUInt32BE(NBDMAGIC[1], 4)
  greeting.writeUInt32BE(IHAVEOPT[0], 8)
  greeting.writeUInt32BE(IHAVEOPT[1], 12)
  greeting.writeUInt16BE(HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES, 16)
  return greeting
}

export interface OptionHeader {
  readonly option: number
  readonly dataBytes: number
}

/** Null when the magic is wrong. `from` has at least OPTION_HEADER_BYTES. */
export function decodeOptionHeader(from: Buffer): OptionHeader | null {
  if (from.readUInt32BE(OPTION_AT.magic) !== IHAVEOPT[0]) return null
  if (from.readUInt32BE(OPTION_AT.magic + 4) !== IHAVEOPT[1]) return null
  return { option: from.readUInt32BE(OPTION_AT.option), dataBytes: from.readUInt32BE(OPTION_AT.length) }
}

/** Client side. */
export function encodeOption(option: number, data: Buffer): Buffer {
  const header = Buffer.alloc(OPTION_HEADER_BYTES)
  header.writeUInt32BE(IHAVEOPT[0], OPTION_AT.magic)
  header.writeUInt32BE(IHAVEOPT[1], OPTION_AT.magic + 4)
  header.writeUInt32BE(option, OPTION_AT.option)
  header.writeUInt32BE(data.length, OPTION_AT.length)
  return Buffer.concat([header, data])
}

export function encodeOptionReply(option: number, type: OptionReply, data: Buffer | string = ''): Buffer {
  const payload = typeof data === 'string' ? Buffer.from(data) : data
  const reply = Buffer.alloc(OPTION_REPLY_BYTES + payload.length)
  reply.writeUInt32BE(NBD_OPT_REPLY_MAGIC[0], REPLY_AT.magic)
  reply.writeUInt32BE(NBD_OPT_REPLY_MAGIC[1], REPLY_AT.magic + 4)
  reply.writeUInt32BE(option, REPLY_AT.option)
  reply.writeUInt32BE(type, REPLY_AT.type)
  reply.writeUInt32BE(payload.length, REPLY_AT.length)
  payload.copy(reply, OPTION_REPLY_BYTES)
  return reply
}

export interface OptionReplyHeader {
  readonly option: number
  readonly type: number
  readonly dataBytes: number
}

/** Client side. Null when the magic is wrong. `from` has at least OPTION_REPLY_BYTES. */
export function decodeOptionReply(from: Buffer): OptionReplyHeader | null {
  if (from.readUInt32BE(REPLY_AT.magic) !== NBD_OPT_REPLY_MAGIC[0]) return null
  if (from.readUInt32BE(REPLY_AT.magic + 4) !== NBD_OPT_REPLY_MAGIC[1]) return null
  return {
    option: from.readUInt32BE(REPLY_AT.option),
    type: from.readUInt32BE(REPLY_AT.type),
    dataBytes: from.readUInt32BE(REPLY_AT.length),
  }
}

/** A string of the document: UTF-8 without NUL, at most 4096 bytes. Null when `bytes` is not one. */
export function decodeString(bytes: Buffer): string | null {
  if (bytes.length > NBD_STRING_BYTES_MAX || bytes.includes(0)) return null
  try {
    return UTF8.decode(bytes)
  } catch {
    return null
  }
}

/** Steps over a 32-bit length and that many bytes of string; null when they are not all there. */
function stringAt(data: Buffer, at: number): { text: string; next: number } | null {
  if (at + 4 > data.length) return null
  const lengthBytes = data.readUInt32BE(at)
  if (lengthBytes > data.length - at - 4) return null
  const next = at + 4 + lengthBytes
  const text = decodeString(data.subarray(at + 4, next))
  return text === null ? null : { text, next }
}

export interface InfoRequest {
  readonly name: string
  readonly wanted: ReadonlySet<number>
}

/** Data of NBD_OPT_INFO and NBD_OPT_GO; null when its lengths do not agree with each other. */
export function decodeInfoRequest(data: Buffer): InfoRequest | null {
  const name = stringAt(data, 0)
  if (name === null || name.next + 2 > data.length) return null
  const count = data.readUInt16BE(name.next)
  if (data.length !== name.next + 2 + 2 * count) return null
  const wanted = new Set<number>()
  for (let i = 0; i < count; i++) wanted.add(data.readUInt16BE(name.next + 2 + 2 * i))
  return { name: name.text, wanted }
}

/** Client side. */
export function encodeInfoRequest(name: string, wanted: readonly number[]): Buffer {
  const text = Buffer.from(name)
  const data = Buffer.alloc(4 + text.length + 2 + 2 * wanted.length)
  data.writeUInt32BE(text.length, 0)
  text.copy(data, 4)
  data.writeUInt16BE(wanted.length, 4 + text.length)
  wanted.forEach((info, i) => {
    data.writeUInt16BE(info, 6 + text.length + 2 * i)
  })
  return data
}

export interface MetaContextQuery {
  readonly name: string
  readonly queries: readonly string[]
}

/** Data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT; null when it is not well-formed. */
export function decodeMetaContextQuery(data: Buffer): MetaContextQuery | null {
  const name = stringAt(data, 0)
  if (name === null || name.next + 4 > data.length) return null
  const count = data.readUInt32BE(name.next)
  let at = name.next + 4
  // Each query has a length of 4 bytes: a larger count cannot be true.
  if (count > (data.length - at) / 4) return null
  const queries: string[] = []
  for (let i = 0; i < count; i++) {
    const query = stringAt(data, at)
    if (query === null) return null
    queries.push(query.text)
    at = query.next
  }
  return at === data.length ? { name: name.text, queries } : null
}

/** Client side. */
export function encodeMetaContextQuery(name: string, queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(queries.length)
  return Buffer.concat([prefixed(name), count, ...queries.map(prefixed)])
}

/** Data of NBD_REP_SERVER. */
export function encodeServer(name: string, description: string): Buffer {
  return Buffer.concat([prefixed(name), Buffer.from(description)])
}

export function encodeExportInfo(sizeBytes: number, transmissionFlags: number): Buffer {
  const info = Buffer.alloc(12)
  info.writeUInt16BE(NbdInfo.EXPORT, 0)
  info.writeBigUInt64BE(BigInt(sizeBytes), 2)
  info.writeUInt16BE(transmissionFlags, 10)
  return info
}

/** NBD_INFO_NAME and NBD_INFO_DESCRIPTION. */
export function encodeTextInfo(type: number, text: string): Buffer {
  const typeField = Buffer.alloc(2)
  typeField.writeUInt16BE(type)
  return Buffer.concat([typeField, Buffer.from(text)])
}

export function encodeBlockSizeInfo(minimum: number, preferred: number, maximumPayload: number): Buffer {
  const info = Buffer.alloc(14)
  info.writeUInt16BE(NbdInfo.BLOCK_SIZE, 0)
  info.writeUInt32BE(minimum, 2)
  info.writeUInt32BE(preferred, 6)
  info.writeUInt32BE(maximumPayload, 10)
  return info
}

/** Data of NBD_REP_META_CONTEXT. */
export function encodeMetaContext(id: number, name: string): Buffer {
  const idField = Buffer.alloc(4)
  idField.writeUInt32BE(id)
  return Buffer.concat([idField, Buffer.from(name)])
}

/** What NBD_OPT_EXPORT_NAME is answered with; without NO_ZEROES, 124 reserved bytes follow. */
export function encodeExportNameReply(
  sizeBytes: number,
  transmissionFlags: number,
  noZeroes: boolean,
): Buffer {
  const reply = Buffer.alloc(noZeroes ? 10 : 134)
  reply.writeBigUInt64BE(BigInt(sizeBytes), 0)
  reply.writeUInt16BE(transmissionFlags, 8)
  return reply
}

function prefixed(text: string): Buffer {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
