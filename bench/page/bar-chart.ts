import type { Spread } from '../statistics.ts'

const WIDTH = 500
const LABEL_WIDTH = 105
const VALUE_WIDTH = 75
const BAR_HEIGHT = 20
const ROW_HEIGHT = 30
const TITLE_HEIGHT = 30
const OURS = '#1f6feb'
const THEIRS = '#9aa4b1'

export interface Bar extends Spread {
  readonly label: string
}

function amount(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

/** Horizontal bars from zero with a whisker from least to greatest, as an SVG element. Labels are plain names. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ max }) => max))
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / most
  const x = (value: number) => (LABEL_WIDTH + value * scale).toFixed(1)
  const rows = bars.map((bar, at) => {
    const top = TITLE_HEIGHT + at * ROW_HEIGHT
    const middle = top + BAR_HEIGHT / 2
    const colour = bar.label.startsWith('holdfast') ? OURS : THEIRS
    return [
      `<text x="0" y="${middle + 5}">${bar.label}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${top}" width="${(bar.median * scale).toFixed(1)}" height="${BAR_HEIGHT}" fill="${colour}"/>`,
      `<path d="M${x(bar.min)} ${middle}H${x(bar.max)}M${x(bar.min)} ${middle - 4}v8M${x(bar.max)} ${middle - 4}v8" stroke="#1b1f24"/>`,
      `<text x="${WIDTH}" y="${middle + 5}" text-anchor="end">${amount(bar.median)}</text>`,
    ].join('')
  })
  const height = TITLE_HEIGHT + bars.length * ROW_HEIGHT
  return `<svg viewBox="0 0 ${WIDTH} ${height}" font-size="13" role="img"><text x="0" y="16" font-weight="600">${title}</text>${rows.join('')}</svg>`
}
