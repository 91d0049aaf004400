import { crc32c } from '../../lib/crc32c.ts'

/** CRC32C digests, sent with the low byte first. RFC 7143 §11.2.3, §13.1. */
export const DIGEST_BYTES = 4

/** `bytes[at, at + lengthBytes)`: the header with its AHS, or the data with its padding. */
export function putDigest(into: Buffer, digestAt: number, at: number, lengthBytes: number): void {
  into.writeUInt32LE(crc32c(into, at, lengthBytes), digestAt)
}

/** True when the digest at `digestAt` is that of `bytes[at, at + lengthBytes)`. */
export function digestMatches(bytes: Buffer, digestAt: number, at: number, lengthBytes: number): boolean {
  return bytes.readUInt32LE(digestAt) === crc32c(bytes, at, lengthBytes)
}

/** For data that lies in several pieces: feed the pieces (padding last), starting from undefined. */
export function continueDigest(bytes: Buffer, at: number, lengthBytes: number, before?: number): number {
  return crc32c(bytes, at, lengthBytes, before)
}

export function putDigestValue(into: Buffer, digestAt: number, digest: number): void {
  into.writeUInt32LE(digest, digestAt)
}
