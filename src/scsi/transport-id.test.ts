import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeTransportIds, encodeTransportId } from './transport-id.ts'

const port = fc.record({
  initiatorName: fc.stringMatching(/^iqn\.20[0-9]{2}-0[1-9]\.[a-z0-9.:-]{1,180}$/),
  isid: fc.stringMatching(/^[0-9a-f]{12}$/),
})

test('property: TransportIDs decode to the initiator ports that were encoded', () => {
  fc.assert(
    fc.property(fc.array(port, { maxLength: 5 }), ports => {
      const bytes = Buffer.concat(ports.map(encodeTransportId))
      expect(decodeTransportIds(bytes)).toEqual(ports)
    }),
  )
})

test('a TransportID of format 01b has these bytes', () => {
  const id = encodeTransportId({ initiatorName: 'iqn.2026-11.io:a', isid: '00023d000001' })
  expect(id.toString('hex', 0, 4)).toBe('45000024')
  expect(id.toString('ascii', 4, 38)).toBe('iqn.2026-11.io:a,i,0x00023d000001\0')
  expect(id.length).toBe(40)
})

test('property: any bytes are TransportIDs or refused, never a crash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const spoilt = Buffer.concat([Buffer.of(0x45, 0, 0, 24), Buffer.from(bytes)])
      const decoded = decodeTransportIds(spoilt)
      expect(decoded === null || Array.isArray(decoded)).toBe(true)
    }),
  )
})
