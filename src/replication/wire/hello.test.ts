import fc from 'fast-check'
import { expect, test } from 'vitest'
import { peerIdentity } from '../../../test/lib/peer-network-contract.ts'
import { chooseVersion, decodeHello, encodeHello, HELLO_BYTES_MAX, HELLO_HEADER_BYTES } from './hello.ts'
import { checkHello } from './hello-checks.ts'

const versions = { lowest: 1, highest: 2 }

test('hello: decodes to what was encoded', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 })
  const identity = fc.record({
    clusterId: text,
    peerId: text,
    peerNumber: fc.maxSafeNat(),
    brickUuid: text,
    openCounter: fc.maxSafeNat(),
    bootId: text,
    incarnation: text,
  })
  fc.assert(
    fc.property(identity, fc.maxSafeNat(), (who, connection) => {
      const bytes = encodeHello({ versions, identity: who, connection })
      const hello = { versions, identity: who, connection }
      expect(decodeHello(bytes)).toEqual({ is: 'hello', hello, endAt: bytes.length })
    }),
  )
})

test('hello: a refusal says why', () => {
  const refusal = { versions, refused: { code: 'ERR_BRICK_STALE', message: 'the brick was cloned' } }
  expect(decodeHello(encodeHello(refusal))).toMatchObject({ is: 'refusal', refusal })
})

test('hello: every beginning of one is waited for, and a spoilt one is refused', () => {
  const bytes = encodeHello({ versions, identity: peerIdentity(1), connection: 1 })
  for (let end = 0; end < bytes.length; end++) {
    expect(decodeHello(bytes.subarray(0, end)).is).toBe('incomplete')
  }
  for (let at = 0; at < bytes.length; at++) {
    const bad = Buffer.from(bytes)
    bad[at]! ^= 0x40
    expect(decodeHello(bad).is).toBe('fault')
  }
})

test('hello: what a later version adds to the body is passed over', () => {
  const identity = { ...peerIdentity(1), colour: 'blue' }
  const decoded = decodeHello(encodeHello({ versions, identity, connection: 3 }))
  expect(decoded).toMatchObject({ is: 'hello', hello: { connection: 3, identity: { peerNumber: 1 } } })
})

test('fuzz: any bytes are refused or waited for, and no more than a hello is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withMagic) => {
      const from = Buffer.from(bytes)
      if (withMagic) from.write('HFPW')
      expect(['incomplete', 'fault']).toContain(decodeHello(from).is)
    }),
  )
  const long = encodeHello({
    versions,
    identity: { ...peerIdentity(1), peerId: 'x'.repeat(9000) },
    connection: 1,
  })
  expect(decodeHello(long.subarray(0, HELLO_HEADER_BYTES))).toEqual({ is: 'fault', fault: 'helloTooLong' })
  expect(HELLO_BYTES_MAX).toBeLessThan(long.length)
})

test('hello, version 1: these bytes for ever', () => {
  const bytes = encodeHello({ versions: { lowest: 1, highest: 1 }, identity: peerIdentity(1), connection: 1 })
  expect(bytes.toString('hex', 0, HELLO_HEADER_BYTES)).toBe('4846505701000100a40000000e2712ab75c5eeb4')
})

test('versions: neighbours agree on the lower one, others do not', () => {
  const speaks = (lowest: number, highest: number) => ({ lowest, highest })
  expect(chooseVersion(speaks(1, 1), speaks(1, 2))).toBe(1)
  expect(chooseVersion(speaks(2, 3), speaks(1, 2))).toBe(2)
  expect(chooseVersion(speaks(2, 3), speaks(2, 3))).toBe(3)
  expect(chooseVersion(speaks(1, 1), speaks(2, 3))).toBe(null)
})

test('checks: strangers, copies of ourselves and connections of the past are refused', () => {
  const self = peerIdentity(1)
  const peer = peerIdentity(2, { openCounter: 5 })
  const newest = { identity: peer, connection: 7 }
  const check =
    (fields: object, connection = 8) =>
    () =>
      checkHello(self, peerIdentity(2, { openCounter: 5, ...fields }), connection, newest)
  expect(check({})).not.toThrow()
  expect(check({ clusterId: 'other' })).toThrow('another cluster')
  expect(check({ peerNumber: 1 })).toThrow('our own number')
  expect(check({ brickUuid: 'brick-1' })).toThrow('our own brick')
  expect(check({ openCounter: 4, incarnation: 'older' })).toThrow('opened again')
  expect(check({}, 7)).toThrow('older than 7')
  expect(check({ incarnation: 'new', openCounter: 6 }, 1)).not.toThrow()
})
