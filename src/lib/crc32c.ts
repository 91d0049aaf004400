import { createRequire } from 'node:module'
import { addressOf, nativeLibrary } from './native.ts'

type Crc32c = (bytes: Buffer, at: number, lengthBytes: number, seed: number) => number

/** Intel's ISA-L (Debian: libisal2) folds with PCLMULQDQ: 5 to 8 times as fast as one crc32 instruction at a time. */
const ISA_L_FILE = 'libisal.so.2'
const CHECK_INPUT = Buffer.from('123456789')
const CHECK_VALUE = 0xe3069283

function fromIsaL(): Crc32c | null {
  const library = nativeLibrary(ISA_L_FILE)
  if (library === null) return null
  const crc32Iscsi = library.func('crc32_iscsi', 'uint32_t', ['uintptr_t', 'int', 'uint32_t'])
  const crc: Crc32c = (bytes, at, lengthBytes, seed) =>
    ~crc32Iscsi(addressOf(bytes) + at, lengthBytes, ~seed >>> 0) >>> 0
  return crc(CHECK_INPUT, 0, CHECK_INPUT.length, 0) === CHECK_VALUE ? crc : null
}

/** Loaded only where it is used: it holds 9 MB. */
function fromNodeRs(): Crc32c {
  const native = createRequire(import.meta.url)('@node-rs/crc32') as typeof import('@node-rs/crc32')
  return (bytes, at, lengthBytes, seed) =>
    native.crc32c(
      at === 0 && lengthBytes === bytes.length ? bytes : bytes.subarray(at, at + lengthBytes),
      seed,
    )
}

const isaL = fromIsaL()
const implementation = isaL ?? fromNodeRs()

/** Who computes it here, for status and the bench. */
export const crc32cImplementation = isaL === null ? '@node-rs/crc32' : 'ISA-L'

/** CRC32C (Castagnoli) of `bytes[at, at + lengthBytes)`. RFC 7143 §13.1 names its parameters. */
export function crc32c(bytes: Buffer, at = 0, lengthBytes = bytes.length - at, seed = 0): number {
  return implementation(bytes, at, lengthBytes, seed)
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
