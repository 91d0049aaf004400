import fc from 'fast-check'
import { expect, test } from 'vitest'
import { paddedBytes } from './bhs.ts'
import { continueDigest, digestMatches, putDigest, putDigestValue } from './digest.ts'
import { flatLun, LUN_MAX, lunHighWord } from './lun.ts'
import { serialAdd, serialBefore, serialDistance, serialWithin } from './serial-number.ts'

const serial = fc.nat({ max: 0xffffffff })

test('serial numbers: adding less than half of the ring goes forward, across the wrap too', () => {
  fc.assert(
    fc.property(serial, fc.integer({ min: 1, max: 0x7fffffff }), (from, count) => {
      const to = serialAdd(from, count)
      expect(serialBefore(from, to)).toBe(true)
      expect(serialBefore(to, from)).toBe(false)
      expect(serialDistance(to, from)).toBe(count)
    }),
  )
  expect(serialAdd(0xffffffff, 1)).toBe(0)
  expect(serialBefore(7, 7)).toBe(false)
})

test('serial numbers: a window across the wrap holds its ends and nothing beside them', () => {
  expect(serialWithin(0xfffffffe, 0xfffffffe, 3)).toBe(true)
  expect(serialWithin(3, 0xfffffffe, 3)).toBe(true)
  expect(serialWithin(4, 0xfffffffe, 3)).toBe(false)
  expect(serialWithin(0xfffffffd, 0xfffffffe, 3)).toBe(false)
})

test('lun: every flat number has one form, which reads as itself', () => {
  fc.assert(
    fc.property(fc.nat({ max: LUN_MAX }), lun => {
      expect(flatLun(lunHighWord(lun), 0)).toBe(lun)
    }),
  )
})

test.each([
  ['peripheral, LUN 255', 0x00ff0000, 0, 255],
  ['flat space, LUN 256', 0x41000000, 0, 256],
  ['flat space, small number', 0x40050000, 0, 5],
  ['extended flat space', 0xd2012345, 0, 0x12345],
  ['peripheral on another bus', 0x01050000, 0, -1],
  ['second level', 0x00010001, 0, -1],
  ['third level', 0x00010000, 1, -1],
  ['logical unit addressing', 0x80010000, 0, -1],
  ['REPORT LUNS well-known unit', 0xc1010000, 0, -1],
])('lun: %s', (_, high, low, lun) => {
  expect(flatLun(high, low)).toBe(lun)
})

/** RFC 7143 Appendix A.4 (CRC32C examples), byte by byte as they are sent. */
test.each([
  ['32 zeroes', Buffer.alloc(32), 'aa36918a'],
  ['32 ones', Buffer.alloc(32, 0xff), '43aba862'],
  ['32 rising bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), '4e79dd46'],
  ['32 falling bytes', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), '5cdb3f11'],
])('digest: %s', (_, bytes, sent) => {
  const pdu = Buffer.concat([bytes, Buffer.alloc(4)])
  putDigest(pdu, 32, 0, 32)
  expect(pdu.toString('hex', 32)).toBe(sent)
  expect(digestMatches(pdu, 32, 0, 32)).toBe(true)
  pdu[5] ^= 1
  expect(digestMatches(pdu, 32, 0, 32)).toBe(false)
})

test('digest: taken piece by piece it is that of the whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 200 }), (array, cut) => {
      const bytes = Buffer.from(array)
      const at = Math.min(cut, bytes.length)
      const pieces = continueDigest(bytes, at, bytes.length - at, continueDigest(bytes, 0, at))
      const sent = Buffer.alloc(4)
      putDigestValue(sent, 0, pieces)
      expect(digestMatches(Buffer.concat([bytes, sent]), bytes.length, 0, bytes.length)).toBe(true)
    }),
  )
})

test('padding: segments end on a four-byte boundary', () => {
  expect([0, 1, 3, 4, 5, 0xffffff].map(paddedBytes)).toEqual([0, 4, 4, 4, 8, 0x1000000])
})
