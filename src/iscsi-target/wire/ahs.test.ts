import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AhsFields, decodeAhs, encodeBidirectionalReadLength, encodeExtendedCdb } from './ahs.ts'
import { BHS_BYTES } from './bhs.ts'
import { blankScsiCommand, encodeScsiCommand } from './scsi-command.ts'

const AT = 5

function blank(): AhsFields {
  return { extendedCdbAt: 0, extendedCdbLength: 0, bidirectionalReadLength: 0 }
}

/** A command header with these AHS bytes behind it. */
function withAhs(ahs: Buffer): Buffer {
  const header = Buffer.alloc(AT + BHS_BYTES)
  encodeScsiCommand(header, AT, blankScsiCommand(), Buffer.alloc(16), 0, ahs.length)
  return Buffer.concat([header, ahs])
}

test('ahs: extended CDB and bidirectional length come back, in either order', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 17, maxLength: 260 }),
      fc.nat({ max: 0xffffffff }),
      fc.boolean(),
      (cdbBytes, readLength, cdbFirst) => {
        const cdb = Buffer.from(cdbBytes)
        const memory = Buffer.alloc(400, 0xee)
        const encoders = [
          (at: number) => encodeExtendedCdb(memory, at, cdb),
          (at: number) => encodeBidirectionalReadLength(memory, at, readLength),
        ]
        let end = 0
        for (const encode of cdbFirst ? encoders : encoders.reverse()) end += encode(end)
        const pdu = withAhs(memory.subarray(0, end))
        const fields = blank()
        expect(decodeAhs(pdu, AT, fields)).toBeNull()
        expect(fields.bidirectionalReadLength).toBe(readLength)
        const extended = pdu.subarray(fields.extendedCdbAt, fields.extendedCdbAt + fields.extendedCdbLength)
        expect(extended.equals(cdb.subarray(16))).toBe(true)
      },
    ),
  )
})

test('ahs: none at all leaves nothing behind', () => {
  const fields = blank()
  expect(decodeAhs(withAhs(Buffer.alloc(0)), AT, fields)).toBeNull()
  expect(fields).toEqual({ extendedCdbAt: -1, extendedCdbLength: 0, bidirectionalReadLength: -1 })
})

test.each([
  ['a length that runs out of the header', 'ffff0100'],
  ['a length of zero', '00000100'],
  ['an extended CDB without CDB bytes', '00010100'],
  ['an unknown type', '00057f0000000000'],
  ['a bidirectional length of the wrong size', '0006020000000000' + '00000000'],
  ['the same type twice', '0005020000000001' + '0005020000000002'],
])('ahs: %s is refused', (_, hex) => {
  expect(decodeAhs(withAhs(Buffer.from(hex, 'hex')), AT, blank())).toHaveProperty('fault')
})

test('ahs: garbage is refused or read, never read outside the header', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 255 }), bytes => {
      const ahs = Buffer.from(bytes.subarray(0, bytes.length & ~3))
      const fields = blank()
      if (decodeAhs(withAhs(ahs), AT, fields) === null && fields.extendedCdbAt >= 0) {
        expect(fields.extendedCdbAt + fields.extendedCdbLength).toBeLessThanOrEqual(
          AT + BHS_BYTES + ahs.length,
        )
      }
    }),
  )
})
