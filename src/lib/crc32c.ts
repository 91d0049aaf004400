import { crc32c as native } from '@node-rs/crc32'

/** CRC32C (Castagnoli) of `bytes[at, at + lengthBytes)`. RFC 7143 §13.1 names its parameters. */
export function crc32c(bytes: Buffer, at = 0, lengthBytes = bytes.length - at, seed?: number): number {
  return native(at === 0 && lengthBytes === bytes.length ? bytes : bytes.subarray(at, at + lengthBytes), seed)
}
