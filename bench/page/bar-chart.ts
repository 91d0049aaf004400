import type { Spread } from '../statistics.ts'
import { amount } from './axis.ts'

const WIDTH = 500
const LABEL_WIDTH = 150
const VALUE_WIDTH = 75
const BAR_HEIGHT = 20
const ROW_HEIGHT = 30
const TITLE_HEIGHT = 30
const OURS = '#1f6feb'
const THEIRS = '#9aa4b1'
const LIMIT_COLOUR = '#d0d7de'

export interface Bar extends Spread {
  readonly label: string
}

function colourOf(label: string): string {
  if (label === 'limit') return LIMIT_COLOUR
  return label.startsWith('holdfast') ? OURS : THEIRS
}

/**
 * Horizontal bars from zero with a whisker from least to greatest, as an SVG element. Labels are plain names. The
 * limit's median is a line through all bars; where it is more than twice the greatest of the others its bar is cut off.
 */
export function barChart(title: string, bars: readonly Bar[]): string {
  const others = bars.filter(({ label }) => label !== 'limit')
  const most = Math.max(...(others.length > 0 ? others : bars).map(({ max }) => max))
  const end = Math.min(Math.max(...bars.map(({ max }) => max)), most * 2)
  const scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / end
  const x = (value: number) => (LABEL_WIDTH + Math.min(value, end) * scale).toFixed(1)
  const height = TITLE_HEIGHT + bars.length * ROW_HEIGHT
  const rows = bars.map((bar, at) => {
    const top = TITLE_HEIGHT + at * ROW_HEIGHT
    const middle = top + BAR_HEIGHT / 2
    const width = (Math.min(bar.median, end) * scale).toFixed(1)
    const cut = bar.median > end ? ' →' : ''
    return [
      `<text x="0" y="${middle + 5}">${bar.label}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" fill="${colourOf(bar.label)}"/>`,
      `<path d="M${x(bar.min)} ${middle}H${x(bar.max)}M${x(bar.min)} ${middle - 4}v8M${x(bar.max)} ${middle - 4}v8" stroke="#1b1f24"/>`,
      `<text x="${WIDTH}" y="${middle + 5}" text-anchor="end">${amount(bar.median)}${cut}</text>`,
    ].join('')
  })
  const limit = bars.find(({ label }) => label === 'limit')
  const line =
    limit === undefined || limit.median > end
      ? ''
      : `<path d="M${x(limit.median)} ${TITLE_HEIGHT - 4}V${height}" stroke="#57606a" stroke-dasharray="4 3"/>`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-size="13" role="img"><text x="0" y="16" font-weight="600">${title}</text>${rows.join('')}${line}</svg>`
}
