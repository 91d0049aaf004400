import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NbdInfo, NbdOption, OptionReply, ReplyStyle, ReplyType } from './constants.ts'
import {
  decodeInfoRequest,
  decodeMetaContextQuery,
  decodeOptionHeader,
  decodeOptionReply,
  decodeString,
  encodeGreeting,
  encodeInfoRequest,
  encodeMetaContextQuery,
  encodeOption,
  encodeOptionReply,
} from './options.ts'
import { decodeReply, putChunkHeader, putSimpleReply } from './replies.ts'
import { decodeRequest, encodeRequest, NbdRequest } from './request.ts'

const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
/** Strings of the document: no NUL. */
const text = fc.string({ unit: 'binary', maxLength: 60 }).filter(value => !value.includes('\0'))

test.each([false, true])('request, extended %s: decodes to what was encoded', extended => {
  const length = extended ? u64 : u32.map(BigInt)
  fc.assert(
    fc.property(u16, u16, u64, u64, length, (flags, command, cookie, offset, chosen) => {
      const request = new NbdRequest()
      const bytes = encodeRequest({ flags, command, cookie, offset, length: chosen }, extended)
      expect(decodeRequest(bytes, 0, extended, request)).toBe(true)
      expect([request.flags, request.command]).toEqual([flags, command])
      expect((BigInt(request.cookieHigh) << 32n) | BigInt(request.cookieLow)).toBe(cookie)
      expect((BigInt(request.offsetHigh) << 32n) | BigInt(request.offsetLow)).toBe(offset)
      expect([request.offsetBytes, request.lengthBytes]).toEqual([Number(offset), Number(chosen)])
    }),
  )
})

test('request: the other form, and anything else without the magic, is not decoded', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.boolean(), (bytes, extended) => {
      const from = Buffer.from(bytes)
      fc.pre(from[0] !== 0x25 && from[0] !== 0x21)
      expect(decodeRequest(from, 0, extended, new NbdRequest())).toBe(false)
    }),
  )
  const compact = encodeRequest({ command: 0, cookie: 0n, offset: 0n, length: 0n }, false)
  expect(decodeRequest(compact, 0, true, new NbdRequest())).toBe(false)
})

test('request, captured from libnbd: a 4 KiB read at 8 KiB', () => {
  const captured = Buffer.from('25609513000000000000000000000001000000000000200000001000', 'hex')
  const encoded = encodeRequest({ command: 0, cookie: 1n, offset: 8192n, length: 4096n }, false)
  expect(encoded.equals(captured)).toBe(true)
})

test('replies: headers decode to what was put', () => {
  fc.assert(
    fc.property(u64, u64, u16, u16, u32, (cookie, offset, flags, type, payloadBytes) => {
      const slab = Buffer.alloc(40)
      const answered = {
        cookieHigh: Number(cookie >> 32n),
        cookieLow: Number(cookie & 0xffff_ffffn),
        offsetHigh: Number(offset >> 32n),
        offsetLow: Number(offset & 0xffff_ffffn),
      }
      const put = (style: ReplyStyle) => putChunkHeader(slab, 0, style, answered, flags, type, payloadBytes)
      const common = { flags, type, cookie, payloadBytes }
      const structuredBytes = put(ReplyStyle.structured)
      expect(decodeReply(slab)).toEqual({
        kind: 'structured',
        ...common,
        offset: null,
        headerBytes: structuredBytes,
      })
      const extendedBytes = put(ReplyStyle.extended)
      expect(decodeReply(slab)).toEqual({ kind: 'extended', ...common, offset, headerBytes: extendedBytes })
      putSimpleReply(slab, 0, answered, type)
      expect(decodeReply(slab)).toEqual({ kind: 'simple', error: type, cookie })
    }),
  )
})

test('replies: an incomplete header waits, a wrong magic is told', () => {
  expect(decodeReply(Buffer.alloc(15))).toBe(null)
  expect(decodeReply(Buffer.alloc(16))).toBe('badMagic')
})

test('options: headers, data of GO and of the metadata contexts decode to what was encoded', () => {
  fc.assert(
    fc.property(
      u32,
      text,
      fc.uniqueArray(u16),
      fc.array(text, { maxLength: 5 }),
      (option, name, wanted, queries) => {
        const info = encodeInfoRequest(name, wanted)
        expect(decodeOptionHeader(encodeOption(option, info))).toEqual({ option, dataBytes: info.length })
        expect(decodeInfoRequest(info)).toEqual({ name, wanted: new Set(wanted) })
        expect(decodeMetaContextQuery(encodeMetaContextQuery(name, queries))).toEqual({ name, queries })
      },
    ),
  )
})

test('options: data of any bytes is decoded or refused, never thrown at, and cut data is refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
      const data = Buffer.from(bytes)
      decodeInfoRequest(data)
      decodeMetaContextQuery(data)
    }),
  )
  const info = encodeInfoRequest('disk', [NbdInfo.NAME])
  const query = encodeMetaContextQuery('disk', ['base:'])
  for (let cut = 0; cut < info.length; cut++) expect(decodeInfoRequest(info.subarray(0, cut))).toBe(null)
  for (let cut = 0; cut < query.length; cut++)
    expect(decodeMetaContextQuery(query.subarray(0, cut))).toBe(null)
})

test('option replies: decode to what was encoded', () => {
  const reply = encodeOptionReply(NbdOption.GO, OptionReply.ERR_UNKNOWN, 'none such')
  expect(decodeOptionReply(reply)).toEqual({ option: 7, type: 0x8000_0006, dataBytes: 9 })
  expect(decodeOptionReply(Buffer.alloc(20))).toBe(null)
  expect(decodeOptionHeader(Buffer.alloc(16))).toBe(null)
})

test('strings: NUL, broken UTF-8 and more than 4096 bytes are refused', () => {
  expect(decodeString(Buffer.from('größe'))).toBe('größe')
  expect(decodeString(Buffer.from('a\0'))).toBe(null)
  expect(decodeString(Buffer.from([0xc3]))).toBe(null)
  expect(decodeString(Buffer.alloc(4097, 97))).toBe(null)
})

test('greeting, captured: NBDMAGIC, IHAVEOPT, both flags', () => {
  expect(encodeGreeting().toString('hex')).toBe('4e42444d4147494349484156454f50540003')
  expect(ReplyType.ERROR).toBe(0x8001)
})
