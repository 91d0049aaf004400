import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { amount, placesAxis, positionOn, ticks } from '../../../bench/page/axis.ts'
import { barChart } from '../../../bench/page/bar-chart.ts'
import { lineChart } from '../../../bench/page/line-chart.ts'

const one = (value: number) => ({ median: value, min: value, max: value })

describe('axes', () => {
  test('places that are far apart stand on a logarithmic axis, near ones and zero on a linear one', () => {
    expect(placesAxis([1, 10, 1000])).toEqual({ from: 1, to: 1000, logarithmic: true })
    expect(placesAxis([1, 2, 3])).toEqual({ from: 0, to: 3, logarithmic: false })
    expect(placesAxis([0, 95]).logarithmic).toBe(false)
  })

  test('a place is at its share of the axis', () => {
    expect(positionOn({ from: 1, to: 100, logarithmic: true }, 10)).toBeCloseTo(0.5)
    expect(positionOn({ from: 0, to: 4, logarithmic: false }, 1)).toBe(0.25)
    expect(positionOn({ from: 4, to: 4, logarithmic: false }, 4)).toBe(0.5)
  })

  test('property: ticks go from zero to at least the greatest, a handful of them', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), most => {
        const found = ticks(most)
        expect(found[0]).toBe(0)
        expect(found.at(-1)).toBeGreaterThanOrEqual(most * (1 - 1e-9))
        expect(found.length).toBeGreaterThanOrEqual(3)
        expect(found.length).toBeLessThanOrEqual(7)
      }),
    )
  })

  test('numbers have three digits', () => {
    expect([12_345, 999, 1.5, 0.1234].map(amount)).toEqual(['12.3k', '999', '1.5', '0.123'])
  })
})

describe('charts', () => {
  test('every line has its places from left to right, and the limit is dashed', () => {
    const drawn = lineChart({
      title: 'ops < more',
      xLabel: 'depth',
      lines: [
        { label: 'holdfast NBD', points: [8, 1].map(x => ({ x, value: one(x) })) },
        { label: 'limit NBD', points: [{ x: 1, value: one(9) }] },
      ],
    })
    const [x1, x8] = [...drawn.matchAll(/<circle cx="([\d.]+)"/g)].map(match => Number(match[1]))
    expect(x1).toBeLessThan(x8 as number)
    expect(drawn.match(/stroke-dasharray/g)).toHaveLength(1)
    expect(drawn).toContain('ops &lt; more')
  })

  test("the limit is a line through all bars, and cut off where it is far beyond the others'", () => {
    const bars = (limit: number) => [
      { label: 'holdfast', ...one(10) },
      { label: 'limit', ...one(limit) },
    ]
    expect(barChart('near', bars(15))).toContain('stroke-dasharray')
    expect(barChart('far', bars(90))).not.toContain('stroke-dasharray')
    expect(barChart('far', bars(90))).toContain('90 →')
  })
})
