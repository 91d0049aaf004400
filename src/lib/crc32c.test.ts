import { crc32c as reference } from '@node-rs/crc32'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { crc32c, crc32cImplementation, crc32cOfHeader } from './crc32c.ts'

// RFC 7143 appendix A.4, whose digests are written byte by byte.
test.each([
  ['zeroes', Buffer.alloc(32), 0x8a9136aa],
  ['ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['incrementing', Buffer.from(Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e],
])('CRC32C of the RFC: 32 bytes of %s', (_, bytes, checksum) => {
  expect(crc32c(bytes)).toBe(checksum)
  expect(crc32cOfHeader(bytes, 0, bytes.length)).toBe(checksum)
})

test('crc32cOfHeader: agrees with crc32c on any words', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 3 }), (bytes, at) => {
      const from = Buffer.from(bytes)
      const length = Math.max(0, from.length - at) & ~3
      expect(crc32cOfHeader(from, at, length)).toBe(crc32c(from, at, length))
    }),
  )
})

test(`crc32c: ${crc32cImplementation} agrees with @node-rs/crc32 on any bytes, offset and seed`, () => {
  if (crc32cImplementation === '@node-rs/crc32') console.log('skipped: crc32c: libisal2 is not installed')
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 10_000 }),
      fc.nat({ max: 70 }),
      fc.nat({ max: 0xffffffff }),
      (bytes, at, seed) => {
        const from = Buffer.from(bytes)
        const start = Math.min(at, from.length)
        expect(crc32c(from, start, from.length - start, seed)).toBe(reference(from.subarray(start), seed))
      },
    ),
  )
})

test('crc32c: pieces, each with the checksum so far as its seed, are the whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (bytes, cut) => {
      const whole = Buffer.from(bytes)
      const at = Math.min(cut, whole.length)
      expect(crc32c(whole, at, whole.length - at, crc32c(whole, 0, at))).toBe(crc32c(whole))
    }),
  )
})
