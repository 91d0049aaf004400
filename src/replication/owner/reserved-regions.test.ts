import { expect, test } from 'vitest'
import { REGION_BYTES } from '../../store/layout.ts'
import { ReservedRegions } from './reserved-regions.ts'

test('reserved: a write that touches one region without space has to ask', () => {
  const reserved = new ReservedRegions()
  reserved.add(0, REGION_BYTES)
  expect(reserved.covers(4096, 8192)).toBe(true)
  expect(reserved.covers(REGION_BYTES - 4096, 8192)).toBe(false)
  reserved.add(REGION_BYTES, 4096)
  expect(reserved.covers(REGION_BYTES - 4096, 8192)).toBe(true)
})

test('reserved: what a trim touched is asked for again', () => {
  const reserved = new ReservedRegions()
  const far = 5 * 2 ** 40
  reserved.add(far, 3 * REGION_BYTES)
  reserved.remove(far + REGION_BYTES, 4096)
  expect(reserved.covers(far, REGION_BYTES)).toBe(true)
  expect(reserved.covers(far + REGION_BYTES, 4096)).toBe(false)
  expect(reserved.covers(far + 2 * REGION_BYTES, REGION_BYTES)).toBe(true)
})
