import { crc32c as native } from '@node-rs/crc32'

/** CRC32C (Castagnoli) of `bytes[at, at + lengthBytes)`. RFC 7143 §13.1 names its parameters. */
export function crc32c(bytes: Buffer, at = 0, lengthBytes = bytes.length - at, seed?: number): number {
  return native(at === 0 && lengthBytes === bytes.length ? bytes : bytes.subarray(at, at + lengthBytes), seed)
}

/** The reversed polynomial. */
const POLYNOMIAL = 0x82f63b78
/** `TABLES[n][b]`: what byte `b` does to the checksum `n` bytes later. */
const TABLES = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)] as const
for (let byte = 0; byte < 256; byte++) {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ POLYNOMIAL
  TABLES[0][byte] = value
}
for (let later = 1; later < 4; later++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = TABLES[later - 1]![byte]!
    TABLES[later]![byte] = (before >>> 8) ^ TABLES[0][before & 0xff]!
  }
}
const [ONE, TWO, THREE, FOUR] = TABLES

/** As crc32c(), for a few dozen bytes, whose length is a multiple of 4: cheaper there than a call out of JavaScript. */
export function crc32cOfHeader(bytes: Buffer, at: number, lengthBytes: number): number {
  let value = -1
  for (let next = at; next < at + lengthBytes; next += 4) {
    value ^= bytes[next]! | (bytes[next + 1]! << 8) | (bytes[next + 2]! << 16) | (bytes[next + 3]! << 24)
    value =
      FOUR[value & 0xff]! ^ THREE[(value >>> 8) & 0xff]! ^ TWO[(value >>> 16) & 0xff]! ^ ONE[value >>> 24]!
  }
  return ~value >>> 0
}
