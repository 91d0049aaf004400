import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PeerRequest } from '../peer-network.ts'
import {
  decodeHeader,
  FrameHeader,
  FrameType,
  headerBytesAt,
  putRequest,
  putShort,
  REQUEST_HEADER_BYTES,
  SHORT_HEADER_BYTES,
} from './frame.ts'
import { BODY_BYTES_MAX, PAYLOAD_BYTES_MAX } from './limits.ts'

const u8 = fc.integer({ min: 0, max: 0xff })
const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const exact = fc.maxSafeNat()
const bodyBytes = fc.integer({ min: 0, max: BODY_BYTES_MAX })
const payloadBytes = fc.integer({ min: 0, max: PAYLOAD_BYTES_MAX })

const NUMBERS = [
  'epoch',
  'setVersion',
  'offsetBytes',
  'lengthBytes',
  'operation',
  'watermark',
  'stream',
  'sequence',
] as const

function request(fields: Partial<PeerRequest> = {}): PeerRequest {
  return Object.assign(new PeerRequest({ replied() {} }), fields)
}

function put(fields: Partial<PeerRequest>, id = 0, volume = 0, body = 0, checksum = 0): Buffer {
  const slab = Buffer.alloc(REQUEST_HEADER_BYTES)
  expect(putRequest(slab, 0, request(fields), id, volume, body, checksum)).toBe(REQUEST_HEADER_BYTES)
  return slab
}

test('request header: decodes to what was put, wherever it lies', () => {
  const fields = fc.record({
    kind: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 8),
    flags: u16,
    stamp: u32,
    payloadLengthBytes: payloadBytes,
    ...(Object.fromEntries(NUMBERS.map(name => [name, exact])) as Record<
      (typeof NUMBERS)[number],
      typeof exact
    >),
  })
  fc.assert(
    fc.property(fields, u32, u32, bodyBytes, u32, u8, (given, id, volume, body, checksum, at) => {
      const slab = Buffer.alloc(at + REQUEST_HEADER_BYTES)
      putRequest(slab, at, request(given as Partial<PeerRequest>), id, volume, body, checksum)
      const header = new FrameHeader()
      expect(headerBytesAt(slab, at)).toBe(REQUEST_HEADER_BYTES)
      expect(decodeHeader(slab, at, REQUEST_HEADER_BYTES, header)).toBe(null)
      const { kind, payloadLengthBytes, ...same } = given
      expect(header).toMatchObject({ ...same, type: FrameType.request, code: kind, id, volume })
      expect(header).toMatchObject({
        payloadBytes: payloadLengthBytes,
        bodyBytes: body,
        contentChecksum: checksum,
      })
    }),
  )
})

test('short header: decodes to what was put', () => {
  const type = fc.constantFrom(FrameType.reply, FrameType.volumeName, FrameType.ping, FrameType.pong)
  fc.assert(
    fc.property(
      type,
      u8,
      u32,
      exact,
      bodyBytes,
      payloadBytes,
      u32,
      (kind, code, id, value, body, payload, crc) => {
        const slab = Buffer.alloc(SHORT_HEADER_BYTES)
        putShort(slab, 0, kind, code, id, value, body, payload, crc)
        const header = new FrameHeader()
        expect(decodeHeader(slab, 0, headerBytesAt(slab, 0), header)).toBe(null)
        expect(header).toMatchObject({ type: kind, code, id, value })
        expect(header).toMatchObject({ bodyBytes: body, payloadBytes: payload, contentChecksum: crc })
      },
    ),
  )
})

test('headers: one flipped bit anywhere is noticed', () => {
  const good = put(
    { kind: 2, epoch: 3, offsetBytes: 4096, lengthBytes: 4096, payloadLengthBytes: 4096 },
    7,
    1,
  )
  for (let bit = 0; bit < REQUEST_HEADER_BYTES * 8; bit++) {
    const bad = Buffer.from(good)
    bad[bit >> 3]! ^= 1 << (bit & 7)
    const headerBytes = headerBytesAt(bad, 0)
    if (headerBytes === 0) continue
    expect(decodeHeader(bad, 0, headerBytes, new FrameHeader())).toBe('badHeaderChecksum')
  }
})

test('headers: lengths above the bounds and numbers above 2^53 are refused', () => {
  const refusal = (header: Buffer) => decodeHeader(header, 0, REQUEST_HEADER_BYTES, new FrameHeader())
  expect(refusal(put({ payloadLengthBytes: PAYLOAD_BYTES_MAX + 1 }))).toBe('payloadTooLong')
  expect(refusal(put({}, 0, 0, BODY_BYTES_MAX + 1))).toBe('bodyTooLong')
  for (const name of NUMBERS) expect(refusal(put({ [name]: 2 ** 53 }))).toBe('numberTooLarge')
})

test('request header, version 1: these bytes for ever', () => {
  const header = put(
    {
      ...{ kind: 2, flags: 1, epoch: 3, setVersion: 4, offsetBytes: 8192, lengthBytes: 4096, operation: 5 },
      ...{ watermark: 6, stream: 7, sequence: 8, stamp: 9, payloadLengthBytes: 4096 },
    },
    0x0a0b0c0d,
    2,
    0,
    0xdeadbeef,
  )
  expect(header.toString('hex')).toBe(
    '391b20b9010201000d0c0b0a0200000003000000000000000400000000000000002000000000000000100000000000000500000000000000060000000000000007000000000000000800000000000000090000000000000000100000efbeadde',
  )
})

test('reply header, version 1: these bytes for ever', () => {
  const slab = Buffer.alloc(SHORT_HEADER_BYTES)
  putShort(slab, 0, FrameType.reply, 4, 0x0a0b0c0d, 2 ** 40 + 512, 0, 4096, 0xdeadbeef)
  expect(slab.toString('hex')).toBe('8d4b188a020400000d0c0b0aefbeadde00020000000100000000000000100000')
})
