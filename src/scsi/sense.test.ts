import { expect, test } from 'vitest'
import { encodeSense, Sense, type SenseCode, type SenseDetails } from './sense.ts'

function encode(isDescriptor: boolean, code: SenseCode, details?: SenseDetails): Buffer {
  const into = Buffer.alloc(252, 0xee)
  return into.subarray(0, encodeSense(into, isDescriptor, code, details))
}

test('fixed format: SPC-5 table 48', () => {
  expect(
    encode(false, Sense.invalidFieldInCdb, { field: { inCdb: true, byte: 300, bit: 5 } }).toString('hex'),
  ).toBe('700005000000000a00000000240000cd012c')
  const sense = encode(false, [0x3, 0x11, 0], { information: 0x12345678 })
  expect(sense.toString('hex')).toBe('f00003123456780a00000000110000000000')
})

test('fixed format: an address of more than 32 bits is left out rather than cut', () => {
  const sense = encode(false, [0x3, 0x11, 0], { information: 2 ** 33 })
  expect([sense[0], sense.readUInt32BE(3)]).toEqual([0x70, 0])
})

test('descriptor format: information and field pointer each in a descriptor of its own', () => {
  const both = { information: 2 ** 33, field: { inCdb: false, byte: 4 } }
  expect(encode(true, [0x5, 0x26, 0], both).toString('hex')).toBe(
    '72052600000000' + '14' + '000a80000000000200000000' + '0206000080000400',
  )
})

test('a deferred error has a response code of its own in both formats', () => {
  expect(encode(false, [0x4, 0x44, 0], { deferred: true })[0]).toBe(0x71)
  expect(encode(true, [0x4, 0x44, 0], { deferred: true })[0]).toBe(0x73)
})
