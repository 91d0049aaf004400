import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BlockExtent } from '../block/block-device.ts'
import { mappedWhereHeld } from './held-extents.ts'

const LENGTH = 40

/** Byte by byte: what is mapped. */
function bytesOf(extents: readonly BlockExtent[]): boolean[] {
  return extents.flatMap(({ lengthBytes, mapped }) => Array.from({ length: lengthBytes }, () => mapped))
}

function extentsOf(bytes: readonly boolean[]): BlockExtent[] {
  return bytes.map((mapped, offsetBytes) => ({ offsetBytes, lengthBytes: 1, mapped }))
}

test('property: what is held is mapped, and all else is as it was', () => {
  const spans = fc.array(fc.tuple(fc.nat(LENGTH), fc.nat(LENGTH)), { maxLength: 6 })
  const bytes = fc.array(fc.boolean(), { minLength: LENGTH, maxLength: LENGTH })
  fc.assert(
    fc.property(bytes, spans, (mapped, ends) => {
      const held = ends.map(([a, b]) => ({ startBytes: Math.min(a, b), endBytes: Math.max(a, b) }))
      const isHeld = (at: number) =>
        held.some(({ startBytes, endBytes }) => at >= startBytes && at < endBytes)
      const found = mappedWhereHeld(extentsOf(mapped), held)
      expect(bytesOf(found)).toEqual(mapped.map((one, at) => one || isHeld(at)))
      let at = 0
      for (const { offsetBytes, lengthBytes } of found) {
        expect(offsetBytes).toBe(at)
        at += lengthBytes
      }
    }),
  )
})
