import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { pairedRatios, spread } from '../../../bench/statistics.ts'

describe('spread', () => {
  test('an odd count has its middle as median, whatever the order', () => {
    expect(spread([9, 1, 4])).toEqual({ median: 4, min: 1, max: 9 })
  })

  test('an even count has the mean of its two middles', () => {
    expect(spread([8, 2, 4, 100])).toEqual({ median: 6, min: 2, max: 100 })
  })

  test('property: the median lies between least and greatest, with as many values on either side', () => {
    fc.assert(
      fc.property(fc.array(fc.integer(), { minLength: 1 }), values => {
        const { median, min, max } = spread(values)
        expect(min).toBeLessThanOrEqual(median)
        expect(max).toBeGreaterThanOrEqual(median)
        expect(values.filter(v => v < median).length).toBeLessThanOrEqual(values.length / 2)
        expect(values.filter(v => v > median).length).toBeLessThanOrEqual(values.length / 2)
      }),
    )
  })
})

test('paired ratios: a round that disturbed both servers disturbs no ratio', () => {
  expect(pairedRatios([30, 3, 30], [10, 1, 10])).toEqual({ median: 3, min: 3, max: 3 })
})
