import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeCheckpoint,
  decodeCursor,
  decodeHeader,
  decodeRecord,
  encodeCheckpoint,
  encodeCursor,
  encodeHeader,
  encodeRecord,
  JOURNAL_PAGE_BYTES,
  JOURNAL_PAYLOAD_BYTES_MAX,
  JOURNAL_TARGETS_MAX,
  type JournalRecord,
} from './journal-format.ts'

const wide = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const target = fc.record({
  volume: fc.uuid(),
  layer: u32,
  extent: u32,
  offsetBytes: u32,
  lengthBytes: fc.integer({ min: 0, max: Math.floor(JOURNAL_PAYLOAD_BYTES_MAX / JOURNAL_TARGETS_MAX) }),
})
const record: fc.Arbitrary<JournalRecord> = fc
  .record({
    incarnation: wide,
    sequence: wide,
    payloadCrc: u32,
    targets: fc.array(target, { maxLength: JOURNAL_TARGETS_MAX }),
  })
  .map(fields => ({ ...fields, payloadBytes: fields.targets.reduce((sum, t) => sum + t.lengthBytes, 0) }))

test('journal: a record decodes to what was encoded', () => {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  fc.assert(
    fc.property(record, one => {
      encodeRecord(one, page)
      expect(decodeRecord(page)).toEqual(one)
    }),
  )
})

test('journal: checkpoint and cursor decode to what was encoded', () => {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  fc.assert(
    fc.property(wide, wide, wide, wide, fc.uuid(), (counter, incarnation, sequence, ringPage, bootId) => {
      encodeCheckpoint({ counter, incarnation, sequence, ringPage }, page)
      expect(decodeCheckpoint(page)).toEqual({ counter, incarnation, sequence, ringPage })
      expect(decodeCursor(page)).toBeNull()
      encodeCursor({ incarnation, appliedSequence: sequence, bootId }, page)
      expect(decodeCursor(page)).toEqual({ incarnation, appliedSequence: sequence, bootId })
    }),
  )
})

test('journal: any changed byte of a record page makes it no record', () => {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  fc.assert(
    fc.property(
      record,
      fc.integer({ min: 0, max: JOURNAL_PAGE_BYTES - 1 }),
      fc.integer({ min: 1, max: 255 }),
      (one, at, flip) => {
        encodeRecord(one, page)
        page[at]! ^= flip
        expect(decodeRecord(page)).toBeNull()
      },
    ),
  )
})

test('journal: a record page of format 1 has these bytes', () => {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  const volume = '01234567-89ab-cdef-0123-456789abcdef'
  const targets = [{ volume, layer: 0, extent: 7, offsetBytes: 8192, lengthBytes: 4096 }]
  encodeRecord({ incarnation: 3, sequence: 258, payloadBytes: 4096, payloadCrc: 0xdeadbeef, targets }, page)
  expect(page.toString('hex', 0, 96)).toBe(
    '48465245434f5244' + // HFRECORD
      '0100000000000000' +
      '0300000000000000' +
      '0201000000000000' +
      '00100000efbeadde' +
      '0100000000000000' +
      '00'.repeat(16) +
      '0123456789abcdef0123456789abcdef' +
      '00000000070000000020000000100000',
  )
})

test('journal: the header of a later format is refused, naming both versions', () => {
  const page = Buffer.alloc(JOURNAL_PAGE_BYTES)
  const header = { sizeBytes: 67108864, brickUuid: '01234567-89ab-cdef-0123-456789abcdef' }
  encodeHeader(header, page)
  expect(decodeHeader(page, 'b/journal')).toEqual(header)
  page.writeUInt32LE(2, 8)
  expect(() => decodeHeader(page, 'b/journal')).toThrow(/b\/journal has format 2.*knows format 1/)
  page.writeUInt32LE(1, 8)
  page[20]! ^= 1
  expect(() => decodeHeader(page, 'b/journal')).toThrow(/fails its checksum/)
  page[0]! ^= 1
  expect(() => decodeHeader(page, 'b/journal')).toThrow(/is not a journal/)
})
