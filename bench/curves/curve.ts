import type { Spread } from '../statistics.ts'

/** One figure of one line at one place. */
export interface Sample {
  /** Which line. */
  readonly series: string
  /** What is on the upright axis, with its unit; each makes a plot of its own. */
  readonly measure: string
  readonly x: number
  readonly value: Spread
}

export interface CurveSettings {
  /** An empty directory for all that the curve needs. */
  readonly directory: string
  /** Measured time of each load. */
  readonly seconds: number
  /** How often each load is measured. */
  readonly rounds: number
}

/** How the cost of something grows with something else. */
export interface Curve {
  readonly name: string
  readonly title: string
  readonly xLabel: string
  /** Where it is measured when nothing is asked for, and when everything is. */
  readonly few: readonly number[]
  readonly all: readonly number[]
  measure(places: readonly number[], settings: CurveSettings): Promise<readonly Sample[]>
}

/** The curves of these names, in the order of `curves`; all of them without names. */
export function chooseCurves(curves: readonly Curve[], names: readonly string[]): readonly Curve[] {
  const unknown = names.find(name => !curves.some(curve => curve.name === name))
  if (unknown !== undefined) {
    throw new Error(`there is no curve '${unknown}': ${curves.map(({ name }) => name).join(', ')}`)
  }
  return names.length === 0 ? curves : curves.filter(({ name }) => names.includes(name))
}
