import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ContinuedText } from '../../../src/iscsi-target/text/continued-text.ts'
import { encodeKeyValues, parseKeyValues } from '../../../src/iscsi-target/text/key-value.ts'
import {
  formatBinary,
  parseBinary,
  parseBoolean,
  parseNumber,
} from '../../../src/iscsi-target/text/values.ts'
import { isRejection } from '../../../src/iscsi-target/wire/rejection.ts'
import { IDENTITY, Login } from './fixture.ts'

const keyName = fc.stringMatching(/^[A-Za-z][A-Za-z0-9.+@_-]{0,62}$/)
const value = fc.string({ unit: 'grapheme', maxLength: 80 }).filter(text => !text.includes('\0'))
const pair = fc.record({ key: keyName, value })

test('text: pairs come back in their order, equals signs in values included', () => {
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 20 }), pairs => {
      expect(parseKeyValues(encodeKeyValues(pairs))).toEqual(pairs)
    }),
  )
})

test('text: pieces add up to the whole wherever they are cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat({ max: 300 })), (bytes, cuts) => {
      const text = new ContinuedText()
      const ends = [...cuts.filter(cut => cut <= bytes.length).sort((a, b) => a - b), bytes.length]
      let at = 0
      for (const end of ends) {
        expect(text.append(Buffer.from(bytes.subarray(at, end)))).toBeNull()
        at = end
      }
      expect(text.take()).toEqual(Buffer.from(bytes))
      expect(text.take()).toHaveLength(0)
    }),
  )
})

test('text: garbage is parsed or refused, never thrown at', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
      const pairs = parseKeyValues(Buffer.from(bytes))
      if (!isRejection(pairs)) expect(pairs.length).toBeLessThanOrEqual(64)
    }),
  )
})

test('login: garbage in header and text always gets an answer or a close', () => {
  const wild = fc.record({
    transit: fc.boolean(),
    continued: fc.boolean(),
    csg: fc.nat({ max: 3 }),
    nsg: fc.nat({ max: 3 }),
    versionMin: fc.nat({ max: 1 }),
  })
  const key = fc.constantFrom('AuthMethod', 'CHAP_A', 'CHAP_R', 'MaxBurstLength', 'HeaderDigest', 'X-a', '')
  const text = fc
    .array(fc.tuple(key, value).map(([name, said]) => `${name}=${said}\0`))
    .map(all => all.join(''))
  fc.assert(
    fc.property(fc.array(fc.tuple(wild, text), { minLength: 1, maxLength: 5 }), requests => {
      const login = new Login()
      for (const [index, [fields, said]] of requests.entries()) {
        const { step, status } = login.send((index === 0 ? IDENTITY : '') + said, fields)
        expect(step.next === 'refused').toBe(status > 0)
        if (step.next !== 'answer') return
        expect(step.reply.data.length).toBeLessThanOrEqual(8192)
      }
    }),
  )
})

test('values: binary constants in hex and base64', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), array => {
      const bytes = Buffer.from(array)
      expect(parseBinary(formatBinary(bytes), 64)).toEqual(bytes)
      expect(parseBinary(`0b${bytes.toString('base64')}`, 64)).toEqual(bytes)
      expect(parseBinary(formatBinary(bytes), bytes.length - 1)).toBeNull()
    }),
  )
  expect(parseBinary('0xABC', 8)).toEqual(Buffer.from([0x0a, 0xbc]))
})

test.each(['', '0x', '0b', '0xgg', '0b====', '0b!', '0bQUI', 'abcd', '12'])(
  'values: %j is no binary constant',
  said => {
    expect(parseBinary(said, 64)).toBeNull()
  },
)

test('values: numbers in decimal and hex, nothing else', () => {
  expect(['0', '42', '0x2A', '0X2a', '007'].map(parseNumber)).toEqual([0, 42, 42, 42, 7])
  expect(['', ' 1', '1 ', '-1', '1.5', '0x', '1e3', '1,2'].map(parseNumber)).toEqual(Array(8).fill(null))
  expect(['Yes', 'No', 'yes', ''].map(parseBoolean)).toEqual([true, false, null, null])
})
