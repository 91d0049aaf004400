import {
  NBD_EXTENDED_REPLY_MAGIC,
  NBD_SIMPLE_REPLY_MAGIC,
  NBD_STRUCTURED_REPLY_MAGIC,
  ReplyStyle,
} from './constants.ts'

/** "Simple reply message". */
const SIMPLE_AT = { magic: 0, error: 4, cookie: 8 } as const
export const SIMPLE_REPLY_BYTES = 16

/** "Structured reply chunk message". */
const STRUCTURED_AT = { magic: 0, flags: 4, type: 6, cookie: 8, length: 16 } as const
export const STRUCTURED_CHUNK_BYTES = 20

/** "Extended reply chunk message" (extension-ext-header branch). */
const EXTENDED_AT = { magic: 0, flags: 4, type: 6, cookie: 8, offset: 16, length: 24 } as const
export const EXTENDED_CHUNK_BYTES = 32

/** Header bytes of a chunk in the given style; a simple reply has no chunks. */
export function chunkHeaderBytes(style: ReplyStyle): number {
  if (style === ReplyStyle.simple) return SIMPLE_REPLY_BYTES
  return style === ReplyStyle.structured ? STRUCTURED_CHUNK_BYTES : EXTENDED_CHUNK_BYTES
}

/** The request that a reply answers: what its header repeats. */
export interface Answered {
  readonly cookieHigh: number
  readonly cookieLow: number
  readonly offsetHigh: number
  readonly offsetLow: number
}

/** Writes the 16 bytes of a simple reply at `at`; answers where its data goes. */
export function putSimpleReply(into: Buffer, at: number, request: Answered, error: number): number {
  into.writeUInt32BE(NBD_SIMPLE_REPLY_MAGIC, at + SIMPLE_AT.magic)
  into.writeUInt32BE(error, at + SIMPLE_AT.error)
  into.writeUInt32BE(request.cookieHigh, at + SIMPLE_AT.cookie)
  into.writeUInt32BE(request.cookieLow, at + SIMPLE_AT.cookie + 4)
  return at + SIMPLE_REPLY_BYTES
}

/** Writes a chunk's header at `at`, structured or extended; answers where its payload goes. */
export function putChunkHeader(
  into: Buffer,
  at: number,
  style: ReplyStyle,
  request: Answered,
  flags: number,
  type: number,
  payloadBytes: number,
): number {
  into.writeUInt16BE(flags, at + STRUCTURED_AT.flags)
  into.writeUInt16BE(type, at + STRUCTURED_AT.type)
  into.writeUInt32BE(request.cookieHigh, at + STRUCTURED_AT.cookie)
  into.writeUInt32BE(request.cookieLow, at + STRUCTURED_AT.cookie + 4)
  if (style === ReplyStyle.structured) {
    into.writeUInt32BE(NBD_STRUCTURED_REPLY_MAGIC, at + STRUCTURED_AT.magic)
    into.writeUInt32BE(payloadBytes, at + STRUCTURED_AT.length)
    return at + STRUCTURED_CHUNK_BYTES
  }
  into.writeUInt32BE(NBD_EXTENDED_REPLY_MAGIC, at + EXTENDED_AT.magic)
  into.writeUInt32BE(request.offsetHigh, at + EXTENDED_AT.offset)
  into.writeUInt32BE(request.offsetLow, at + EXTENDED_AT.offset + 4)
  into.writeUInt32BE(0, at + EXTENDED_AT.length)
  into.writeUInt32BE(payloadBytes, at + EXTENDED_AT.length + 4)
  return at + EXTENDED_CHUNK_BYTES
}

export interface SimpleReply {
  readonly kind: 'simple'
  readonly error: number
  readonly cookie: bigint
}

export interface ReplyChunk {
  readonly kind: 'structured' | 'extended'
  readonly flags: number
  readonly type: number
  readonly cookie: bigint
  /** Of extended chunks: the request's. */
  readonly offset: bigint | null
  readonly payloadBytes: number
  readonly headerBytes: number
}

/** Client side: decodes the reply header at the start of `from`; null when it is not all there. */
export function decodeReply(from: Buffer): SimpleReply | ReplyChunk | 'badMagic' | null {
  if (from.length < SIMPLE_REPLY_BYTES) return null
  const magic = from.readUInt32BE(0)
  const cookie = from.readBigUInt64BE(SIMPLE_AT.cookie)
  if (magic === NBD_SIMPLE_REPLY_MAGIC)
    return { kind: 'simple', error: from.readUInt32BE(SIMPLE_AT.error), cookie }
  const extended = magic === NBD_EXTENDED_REPLY_MAGIC
  if (!extended && magic !== NBD_STRUCTURED_REPLY_MAGIC) return 'badMagic'
  const headerBytes = extended ? EXTENDED_CHUNK_BYTES : STRUCTURED_CHUNK_BYTES
  if (from.length < headerBytes) return null
  return {
    kind: extended ? 'extended' : 'structured',
    flags: from.readUInt16BE(STRUCTURED_AT.flags),
    type: from.readUInt16BE(STRUCTURED_AT.type),
    cookie,
    offset: extended ? from.readBigUInt64BE(EXTENDED_AT.offset) : null,
    payloadBytes: extended
      ? Number(from.readBigUInt64BE(EXTENDED_AT.length))
      : from.readUInt32BE(STRUCTURED_AT.length),
    headerBytes,
  }
}
