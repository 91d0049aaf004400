import { CommandFlag, NBD_EXTENDED_REQUEST_MAGIC, NBD_REQUEST_MAGIC, NbdCommand } from './constants.ts'

/** "Request message", compact form. */
const COMPACT_AT = { magic: 0, flags: 4, type: 6, cookie: 8, offset: 16, length: 24 } as const
export const COMPACT_REQUEST_BYTES = 28
/** The same up to the length, which has 64 bits (extension-ext-header branch). */
export const EXTENDED_REQUEST_BYTES = 32

const WORD = 2 ** 32

/** One decoded request header, used again for every request of a connection. */
export class NbdRequest {
  flags = 0
  command = 0
  /** Opaque to the server. */
  cookieHigh = 0
  cookieLow = 0
  /** As sent: an extended reply repeats the offset exactly, a number does not hold more than 53 bits. */
  offsetHigh = 0
  offsetLow = 0
  offsetBytes = 0
  /** How much of the export is meant; of a request with payload, the payload's length. Inexact above 2^53. */
  lengthBytes = 0
  /** Bytes that follow the header. */
  payloadBytes = 0
}

/** Decodes the header at `at`; the caller has all of its bytes. False when the magic is wrong. */
export function decodeRequest(from: Buffer, at: number, extended: boolean, into: NbdRequest): boolean {
  const magic = extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC
  if (from.readUInt32BE(at + COMPACT_AT.magic) !== magic) return false
  into.flags = from.readUInt16BE(at + COMPACT_AT.flags)
  into.command = from.readUInt16BE(at + COMPACT_AT.type)
  into.cookieHigh = from.readUInt32BE(at + COMPACT_AT.cookie)
  into.cookieLow = from.readUInt32BE(at + COMPACT_AT.cookie + 4)
  into.offsetHigh = from.readUInt32BE(at + COMPACT_AT.offset)
  into.offsetLow = from.readUInt32BE(at + COMPACT_AT.offset + 4)
  into.offsetBytes = into.offsetHigh * WORD + into.offsetLow
  const firstWord = from.readUInt32BE(at + COMPACT_AT.length)
  if (extended) {
    into.lengthBytes = firstWord * WORD + from.readUInt32BE(at + COMPACT_AT.length + 4)
    into.payloadBytes = (into.flags & CommandFlag.PAYLOAD_LEN) !== 0 ? into.lengthBytes : 0
  } else {
    into.lengthBytes = firstWord
    into.payloadBytes = into.command === NbdCommand.WRITE ? firstWord : 0
  }
  return true
}

export interface RequestFields {
  readonly flags?: number
  readonly command: number
  readonly cookie: bigint
  readonly offset: bigint
  readonly length: bigint
}

/** Client side. `length` must fit in 32 bits unless `extended`. */
export function encodeRequest(fields: RequestFields, extended: boolean): Buffer {
  const header = Buffer.alloc(extended ? EXTENDED_REQUEST_BYTES : COMPACT_REQUEST_BYTES)
  header.writeUInt32BE(extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC, COMPACT_AT.magic)
  header.writeUInt16BE(fields.flags ?? 0, COMPACT_AT.flags)
  header.writeUInt16BE(fields.command, COMPACT_AT.type)
  header.writeBigUInt64BE(fields.cookie, COMPACT_AT.cookie)
  header.writeBigUInt64BE(fields.offset, COMPACT_AT.offset)
  if (extended) header.writeBigUInt64BE(fields.length, COMPACT_AT.length)
  else header.writeUInt32BE(Number(fields.length), COMPACT_AT.length)
  return header
}
