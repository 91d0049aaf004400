/** One end of an axis, and whether its steps are powers. */
export interface Axis {
  readonly from: number
  readonly to: number
  readonly logarithmic: boolean
}

/** From this ratio of the greatest to the least place on, a linear axis would crowd most of them. */
const LOGARITHMIC_FROM = 20

/** An axis over these numbers, which are not negative: from zero, or logarithmic where they are far apart. */
export function placesAxis(values: readonly number[]): Axis {
  const [least, most] = [Math.min(...values), Math.max(...values)]
  if (least > 0 && most / least >= LOGARITHMIC_FROM) return { from: least, to: most, logarithmic: true }
  return { from: 0, to: most, logarithmic: false }
}

/** Where a number is on the axis: 0 at its beginning, 1 at its end. */
export function positionOn({ from, to, logarithmic }: Axis, value: number): number {
  if (to === from) return 0.5
  return logarithmic ? Math.log(value / from) / Math.log(to / from) : (value - from) / (to - from)
}

/** Round numbers from zero to at least `most`, about five of them. */
export function ticks(most: number): number[] {
  if (most <= 0) return [0]
  const magnitude = 10 ** Math.floor(Math.log10(most))
  const step = ([0.2, 0.5, 1, 2].find(size => most / (size * magnitude) <= 5) ?? 2) * magnitude
  const count = Math.ceil(most / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, at) => at * step)
}

/** A number with three digits, thousands as k. */
export function amount(value: number): string {
  if (value >= 10_000) return `${Number((value / 1000).toPrecision(3))}k`
  return value >= 100 ? value.toFixed(0) : `${Number(value.toPrecision(3))}`
}
