import { expect, test } from 'vitest'
import { KNOWN_ZERO } from '../../store/layout.ts'
import { CopyMeter } from './copy-meter.ts'
import { differingRuns } from './region-diff.ts'
import { REGIONS_PER_RANGE, RegionSet } from './region-set.ts'

const END = Number.POSITIVE_INFINITY

test('regions: those of other ranges never get in', () => {
  const set = new RegionSet([1, 3])
  for (const region of [0, REGIONS_PER_RANGE + 5, 2 * REGIONS_PER_RANGE, 4 * REGIONS_PER_RANGE - 1]) {
    set.add(region)
    set.add(region)
  }
  expect([...set.regions(END)]).toEqual([REGIONS_PER_RANGE + 5, 4 * REGIONS_PER_RANGE - 1])
  expect([...set.regions(4 * REGIONS_PER_RANGE - 1)]).toEqual([REGIONS_PER_RANGE + 5])
  expect([set.count, set.covers(0), set.covers(REGIONS_PER_RANGE)]).toEqual([2, false, true])
})

test('regions: in order whatever the order they came in, and gone when they are deleted', () => {
  const set = new RegionSet([0, 1])
  set.add(REGIONS_PER_RANGE)
  set.addSegment(2)
  set.add(31)
  set.delete(35)
  set.delete(35)
  set.delete(9999)
  const segment = Array.from({ length: 16 }, (_, i) => 32 + i).filter(region => region !== 35)
  expect([...set.regions(END)]).toEqual([31, ...segment, REGIONS_PER_RANGE])
  expect([set.count, set.has(35), set.has(36)]).toEqual([17, false, true])
})

test('regions: one that is deleted ahead of a walk is not met', () => {
  const set = new RegionSet([0])
  for (const region of [1, 2, 40]) set.add(region)
  const met: number[] = []
  for (const region of set.regions(END)) {
    met.push(region)
    set.delete(40)
  }
  expect(met).toEqual([1, 2])
})

test('difference: neighbours go together, and what reads as zeroes is equal and is trimmed', () => {
  const source = Uint32Array.from([7, 7, 0, KNOWN_ZERO, 5, 0, KNOWN_ZERO, 9])
  const joiner = Uint32Array.from([8, 0, KNOWN_ZERO, 0, 5, 6, 6, 8])
  expect(differingRuns(source, joiner)).toEqual([
    { offsetBytes: 0, lengthBytes: 8192, absent: false },
    { offsetBytes: 5 * 4096, lengthBytes: 8192, absent: true },
    { offsetBytes: 7 * 4096, lengthBytes: 4096, absent: false },
  ])
})

test('meter: the rest takes as long as the part before', () => {
  const meter = new CopyMeter(0)
  meter.begin(10, 1000)
  expect(meter.etaMs(1500)).toBeNull()
  meter.regionsDone = 4
  meter.copiedBytes = 8192
  expect([meter.etaMs(3000), meter.bytesPerSecond(3000)]).toEqual([3000, 4096])
})
