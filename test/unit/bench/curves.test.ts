import { expect, test } from 'vitest'
import { type Curve, chooseCurves, type Sample } from '../../../bench/curves/curve.ts'
import { Measure, only, single } from '../../../bench/curves/loads.ts'

function curve(name: string): Curve {
  return { name, title: '', xLabel: '', few: [1], all: [1, 2], measure: async () => [] }
}

test('curves: chosen by name in their own order, all of them when none is named', () => {
  const curves = [curve('depth'), curve('sessions'), curve('fill')]
  expect(chooseCurves(curves, ['fill', 'depth']).map(({ name }) => name)).toEqual(['depth', 'fill'])
  expect(chooseCurves(curves, [])).toEqual(curves)
  expect(() => chooseCurves(curves, ['width'])).toThrow("there is no curve 'width': depth, sessions, fill")
})

test('curves: only the measures that are wanted are kept', () => {
  const samples: Sample[] = [Measure.rate, Measure.p99].map(measure => ({
    ...{ series: 'a', measure, x: 1 },
    value: single(7),
  }))
  expect(only(samples, Measure.p99)).toEqual([
    { series: 'a', measure: 'p99, µs', x: 1, value: { median: 7, min: 7, max: 7 } },
  ])
})
