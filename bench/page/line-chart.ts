import type { Spread } from '../statistics.ts'
import { amount, placesAxis, positionOn, ticks } from './axis.ts'
import { escapeHtml } from './escape.ts'

const WIDTH = 500
const PLOT = { left: 50, right: 488, top: 30, bottom: 220 }
const LEGEND_ROW_HEIGHT = 18
const LEGEND_COLUMNS = 2
/** Told apart also by those who see few colours; the first is ours. */
const COLOURS = ['#1f6feb', '#d9480f', '#2b8a3e', '#862e9c', '#0b7285', '#f08c00']
const LIMIT_COLOURS = ['#868e96', '#ced4da']

export interface LinePoint {
  readonly x: number
  readonly value: Spread
}

export interface Line {
  readonly label: string
  readonly points: readonly LinePoint[]
}

export interface LineChart {
  readonly title: string
  readonly xLabel: string
  readonly lines: readonly Line[]
}

function isLimit({ label }: Line): boolean {
  return label.startsWith('limit')
}

/** One for each line, in their order. */
function coloursOf(lines: readonly Line[]): string[] {
  const [limits, others] = [lines.filter(isLimit), lines.filter(line => !isLimit(line))]
  return lines.map(line => {
    const [colours, at] = isLimit(line)
      ? [LIMIT_COLOURS, limits.indexOf(line)]
      : [COLOURS, others.indexOf(line)]
    return colours[at % colours.length] as string
  })
}

/** Lines with a whisker from least to greatest at every place, as an SVG element. */
export function lineChart({ title, xLabel, lines }: LineChart): string {
  const all = lines.flatMap(line => line.points)
  const places = [...new Set(all.map(({ x }) => x))].toSorted((a, b) => a - b)
  const axis = placesAxis(places)
  const levels = ticks(Math.max(...all.map(({ value }) => value.max)))
  const top = levels.at(-1) as number
  const xOf = (x: number) => round(PLOT.left + 12 + positionOn(axis, x) * (PLOT.right - PLOT.left - 24))
  const yOf = (y: number) => round(PLOT.bottom - (top === 0 ? 0 : y / top) * (PLOT.bottom - PLOT.top))
  const grid = levels.map(
    level =>
      `<path d="M${PLOT.left} ${yOf(level)}H${PLOT.right}" stroke="#e3e6ea"/>` +
      `<text x="${PLOT.left - 6}" y="${yOf(level) + 4}" text-anchor="end">${amount(level)}</text>`,
  )
  const below = places.map(
    x => `<text x="${xOf(x)}" y="${PLOT.bottom + 16}" text-anchor="middle">${amount(x)}</text>`,
  )
  const colours = coloursOf(lines)
  const drawn = lines.map((line, at) => drawLine(line, colours[at] as string, xOf, yOf))
  const legendTop = PLOT.bottom + 54
  const legend = lines.map((line, at) => {
    const x = PLOT.left + (at % LEGEND_COLUMNS) * ((WIDTH - PLOT.left) / LEGEND_COLUMNS)
    const y = legendTop + Math.floor(at / LEGEND_COLUMNS) * LEGEND_ROW_HEIGHT
    const mark = `<path d="M${x} ${y - 4}h18" stroke="${colours[at]}" stroke-width="3"/>`
    return `${mark}<text x="${x + 24}" y="${y}">${escapeHtml(line.label)}</text>`
  })
  const height = legendTop + Math.ceil(lines.length / LEGEND_COLUMNS) * LEGEND_ROW_HEIGHT
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-size="12" role="img">`,
    `<text x="0" y="16" font-size="13" font-weight="600">${escapeHtml(title)}</text>`,
    ...grid,
    ...below,
    `<text x="${PLOT.right}" y="${PLOT.bottom + 34}" text-anchor="end" fill="#57606a">${escapeHtml(xLabel)}</text>`,
    ...drawn,
    ...legend,
    '</svg>',
  ].join('')
}

function drawLine(
  line: Line,
  colour: string,
  xOf: (x: number) => number,
  yOf: (y: number) => number,
): string {
  const points = line.points.toSorted((a, b) => a.x - b.x)
  const path = points.map(({ x, value }) => `${xOf(x)} ${yOf(value.median)}`).join('L')
  const dashed = isLimit(line) ? ' stroke-dasharray="5 4"' : ''
  const whiskers = points.map(({ x, value }) => `M${xOf(x)} ${yOf(value.min)}V${yOf(value.max)}`).join('')
  const dots = points
    .map(({ x, value }) => `<circle cx="${xOf(x)}" cy="${yOf(value.median)}" r="3" fill="${colour}"/>`)
    .join('')
  return (
    `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"${dashed}/>` +
    `<path d="${whiskers}" stroke="${colour}"/>${dots}`
  )
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
