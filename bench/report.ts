import { DISTURBED_CORE_SHARE, type Measurement } from './measure.ts'
import type { Point } from './points.ts'
import { HOLDFAST } from './servers/holdfast.ts'
import { LIMIT } from './servers/limit.ts'
import { pairedRatios, type Spread, spread } from './statistics.ts'

const LARGE_BLOCK_BYTES = 64 * 1024
const MB = 1e6
const GB = 1e9

export interface PointSummary {
  readonly point: string
  readonly server: string
  readonly client: string
  /** Operations a second, or MB a second for blocks of 64 KiB and more. */
  readonly rate: Spread
  readonly rateUnit: 'ops/s' | 'MB/s'
  /** Server CPU seconds per 100,000 operations, or per GB. */
  readonly serverCpu: Spread
  readonly latencyP50Us: number
  readonly latencyP99Us: number
  readonly latencyP999Us: number
  /** Share of its core that the client used: near 1, the client is what was measured. */
  readonly clientCoreShare: number
  /** Of all the server's processes, after the point; missing in older files. */
  readonly residentBytes?: number
  /** The rate over that of an echo of the same bytes, paired by round; null where no echo ran. */
  readonly ofLimit?: Spread | null
}

export interface PointRatio {
  readonly point: string
  /** The other server; missing in older files. */
  readonly other?: string
  /** Ours over the other's, per round. */
  readonly rate: Spread
  readonly serverCpu: Spread
  readonly goal: number | null
}

/** Operations a second, or MB a second for blocks of 64 KiB and more. */
export function rateOf(m: Measurement, point: Point): number {
  return point.blockBytes >= LARGE_BLOCK_BYTES ? m.bytesPerSecond / MB : m.operationsPerSecond
}

/** Server CPU seconds per 100,000 operations, or per GB. */
export function cpuOf(m: Measurement, point: Point): number {
  const large = point.blockBytes >= LARGE_BLOCK_BYTES
  return m.serverCpuSeconds / (large ? (m.operations * point.blockBytes) / GB : m.operations / 100_000)
}

/** One server's measurements of a point, by round. */
export function select(all: readonly Measurement[], server: string, point: Point): Measurement[] {
  return all.filter(m => m.server === server && m.point === point.name).toSorted((a, b) => a.round - b.round)
}

export function summarize(all: readonly Measurement[], server: string, point: Point): PointSummary {
  const rounds = select(all, server, point)
  return {
    point: point.name,
    server,
    client: rounds[0]?.client ?? '',
    rate: spread(rounds.map(m => rateOf(m, point))),
    rateUnit: point.blockBytes >= LARGE_BLOCK_BYTES ? 'MB/s' : 'ops/s',
    serverCpu: spread(rounds.map(m => cpuOf(m, point))),
    latencyP50Us: spread(rounds.map(m => m.latencyUs.p50)).median,
    latencyP99Us: spread(rounds.map(m => m.latencyUs.p99)).median,
    latencyP999Us: spread(rounds.map(m => m.latencyUs.p999)).median,
    clientCoreShare: spread(rounds.map(m => m.clientCpuSeconds / m.seconds)).median,
    residentBytes: spread(rounds.map(m => m.residentBytes)).median,
    ofLimit: server === LIMIT ? null : ratioOf(all, point, server, LIMIT, rateOf),
  }
}

/** One server's figures over another's, round by round; null where one of them was not measured. */
function ratioOf(
  all: readonly Measurement[],
  point: Point,
  server: string,
  other: string,
  of: (m: Measurement, point: Point) => number,
): Spread | null {
  const [ours, theirs] = [select(all, server, point), select(all, other, point)]
  if (ours.length === 0 || theirs.length === 0) return null
  return pairedRatios(
    ours.map(m => of(m, point)),
    theirs.map(m => of(m, point)),
  )
}

/** Our figures over another server's; the goals are held against `goalOf`. Null where one was not measured. */
export function compare(
  all: readonly Measurement[],
  point: Point,
  other: string,
  goalOf = other,
): PointRatio | null {
  const rate = ratioOf(all, point, HOLDFAST, other, rateOf)
  const serverCpu = ratioOf(all, point, HOLDFAST, other, cpuOf)
  if (rate === null || serverCpu === null) return null
  const goal = other === goalOf ? (point.goal ?? null) : null
  return { point: point.name, other, rate, serverCpu, goal }
}

function amount(value: number): string {
  return value >= 10_000
    ? `${(value / 1000).toFixed(1)}k`
    : value >= 100
      ? value.toFixed(0)
      : value.toFixed(2)
}

/** Median, with least and greatest. */
export function spreadText(s: Spread): string {
  return `${amount(s.median)} (${amount(s.min)}-${amount(s.max)})`
}

/** Rows of as many columns as the first has, padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map(row => (row[column] as string).length)),
  )
  return rows
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] as number))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `marked` are servers that ran with other settings than their defaults. */
export function summaryTable(
  summaries: readonly PointSummary[],
  marked: ReadonlySet<string> = new Set(),
): string {
  const head = [
    ...['point', 'server', 'client', 'rate', '', 'of limit', 'CPU s per 100k ops | GB'],
    ...['p50 µs', 'p99 µs', 'p99.9 µs', 'RSS MB', 'client core'],
  ]
  const rows = summaries.map(s => [
    ...[s.point, `${s.server}${marked.has(s.server) ? '*' : ''}`, s.client, spreadText(s.rate), s.rateUnit],
    s.ofLimit ? percent(s.ofLimit.median) : '',
    spreadText(s.serverCpu),
    ...[amount(s.latencyP50Us), amount(s.latencyP99Us), amount(s.latencyP999Us)],
    s.residentBytes === undefined ? '' : (s.residentBytes / MB).toFixed(0),
    percent(s.clientCoreShare),
  ])
  return table([head, ...rows])
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

/** The ratios to one other server. */
export function ratioTable(ratios: readonly PointRatio[], other: string): string {
  const head = [`holdfast / ${other}`, 'rate', 'goal', '', 'CPU per operation']
  const rows = ratios.map(r => {
    const verdict = r.goal === null ? '' : r.rate.median >= r.goal ? 'reached' : 'missed'
    return [
      r.point,
      `${spreadText(r.rate)}x`,
      r.goal === null ? '' : `${r.goal}x`,
      verdict,
      `${spreadText(r.serverCpu)}x`,
    ]
  })
  return table([head, ...rows])
}

/** A sentence about measurements during which something else ran, or null. */
export function disturbance(all: readonly Measurement[]): string | null {
  const disturbed = all.filter(m => m.othersCoreShare > DISTURBED_CORE_SHARE)
  if (disturbed.length === 0) return null
  const percent = Math.round(DISTURBED_CORE_SHARE * 100)
  return `disturbed: in ${disturbed.length} of ${all.length} measurements others (kernel writeback included) used more than ${percent} % of a core`
}
