import type { PointRatio, PointSummary } from '../report.ts'
import type { CurveResult, ResultFile } from '../results.ts'
import type { Spread } from '../statistics.ts'
import { amount } from './axis.ts'
import { barChart } from './bar-chart.ts'
import { escapeHtml } from './escape.ts'
import { lineChart } from './line-chart.ts'

export interface NamedResult extends ResultFile {
  /** Of its file. */
  readonly name: string
}

const KINDS: Readonly<Record<string, string>> = {
  '': 'iSCSI',
  'nbd-': 'NBD',
  'replicated-': 'Three replicas',
  'conditions-': 'Bad conditions',
  'api-': 'REST API',
}

function headingOf({ name, curve }: NamedResult): string {
  const kind = name.replace(/\d{4}-.*$/, '')
  return curve?.title ?? KINDS[kind] ?? name
}

function anchorOf({ name }: NamedResult): string {
  return name.replace('.json', '')
}

export function tableOfContents(results: readonly NamedResult[]): string {
  const rows = results.map(
    result => `<li><a href="#${anchorOf(result)}">${escapeHtml(headingOf(result))}</a></li>`,
  )
  return `<ul>${rows.join('')}</ul>`
}

/** What one run found, with what somebody needs to judge it. */
export function sectionOf(result: NamedResult): string {
  const machine = Object.entries(result.machine).map(([key, value]) => `${key} ${value}`)
  const servers = result.servers.map(
    ({ name, version, argv, settings }) =>
      `<li><b>${escapeHtml(name)}</b> ${escapeHtml(version)} <code>${escapeHtml(argv.join(' '))}</code> ${escapeHtml(JSON.stringify(settings))}</li>`,
  )
  const changed = result.changedFiles ? `, ${result.changedFiles} files changed` : ''
  const details =
    servers.length === 0
      ? ''
      : `<details><summary>servers and their settings</summary><ul>${servers.join('')}</ul></details>`
  const said = (result.leftOut ?? []).map(sentence => `<p>${escapeHtml(sentence)}</p>`).join('')
  return `<section id="${anchorOf(result)}"><h2>${escapeHtml(headingOf(result))}</h2>
<p class="machine">${escapeHtml(result.name)}: ${escapeHtml(result.at)}, commit ${escapeHtml(result.commit ?? 'unknown')}${changed}; ${escapeHtml(machine.join(', '))}</p>
${said}${ratioTables(result.ratios ?? [])}${pointCharts(result.summaries)}${curveCharts(result.curve)}${conditionsTable(result)}${apiTable(result)}${details}</section>`
}

function pointCharts(summaries: readonly PointSummary[]): string {
  const points = [...new Set(summaries.map(({ point }) => point))]
  return points
    .map(point => {
      const of = summaries.filter(summary => summary.point === point)
      const unit = (of[0] as PointSummary).rateUnit
      const rate = barChart(
        `${point}: ${unit}, more is better`,
        of.map(s => ({ label: s.server, ...s.rate })),
      )
      const per = unit === 'MB/s' ? 'GB' : '100k operations'
      const cpu = barChart(
        `${point}: server CPU s per ${per}, less is better`,
        of.map(s => ({ label: s.server, ...s.serverCpu })),
      )
      return `<div class="pair">${rate}${cpu}</div>${latencyTable(of)}`
    })
    .join('\n')
}

function latencyTable(summaries: readonly PointSummary[]): string {
  const rows = summaries.map(s => [
    ...[s.server, amount(s.latencyP50Us), amount(s.latencyP99Us), amount(s.latencyP999Us)],
    s.residentBytes === undefined ? '' : `${(s.residentBytes / 1e6).toFixed(0)}`,
    s.ofLimit ? `${Math.round(s.ofLimit.median * 100)} %` : '',
    `${Math.round(s.clientCoreShare * 100)} %`,
  ])
  const head = ['', 'p50 µs', 'p99 µs', 'p99.9 µs', 'resident MB', 'of the limit', 'client core']
  return `<details><summary>latency and memory</summary>${htmlTable([head, ...rows])}</details>`
}

function htmlTable(
  [head, ...rows]: readonly (readonly string[])[],
  isMissed = (_row: number) => false,
): string {
  const cells = (row: readonly string[], tag: string) =>
    row.map(cell => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')
  const body = rows.map((row, at) => `<tr${isMissed(at) ? ' class="missed"' : ''}>${cells(row, 'td')}</tr>`)
  return `<table><tr>${cells(head ?? [], 'th')}</tr>${body.join('')}</table>`
}

function ratioTables(ratios: readonly PointRatio[]): string {
  const others = [...new Set(ratios.map(({ other }) => other))]
  return others
    .map(other =>
      ratioTable(
        ratios.filter(ratio => ratio.other === other),
        other,
      ),
    )
    .join('')
}

function ratioTable(ratios: readonly PointRatio[], other: string | undefined): string {
  const missed = ({ rate, goal }: PointRatio) => goal !== null && rate.median < goal
  const times = ({ median, min, max }: Spread) => `${median.toFixed(2)} (${min.toFixed(2)}-${max.toFixed(2)})`
  const rows = ratios.map(ratio => [
    ...[ratio.point, times(ratio.rate), ratio.goal === null ? '' : `${ratio.goal}`],
    ratio.goal === null ? '' : missed(ratio) ? 'missed' : 'reached',
    times(ratio.serverCpu),
  ])
  const head = [`holdfast / ${other ?? 'the other'}`, 'rate', 'goal', '', 'CPU per operation']
  return htmlTable([head, ...rows], at => missed(ratios[at] as PointRatio))
}

function curveCharts(curve: CurveResult | undefined): string {
  if (curve === undefined) return ''
  const measures = [...new Set(curve.samples.map(({ measure }) => measure))]
  const charts = measures.map(measure => {
    const of = curve.samples.filter(sample => sample.measure === measure)
    const series = [...new Set(of.map(sample => sample.series))]
    const lines = series.map(label => ({ label, points: of.filter(sample => sample.series === label) }))
    return lineChart({ title: measure, xLabel: curve.xLabel, lines })
  })
  return `<div class="pair">${charts.join('')}</div>`
}

function conditionsTable({ conditions }: NamedResult): string {
  if (conditions === undefined) return ''
  const text = ({ median, min, max }: Spread) => `${amount(median)} (${amount(min)}-${amount(max)})`
  const rows = conditions.map(({ name, alone, beside, noisyRate }) => [
    ...[name, text(alone.p50), text(alone.p99), text(beside.p50), text(beside.p99)],
    noisyRate === null ? '' : amount(noisyRate),
  ])
  const head = ['the quiet client, µs', 'alone p50', 'p99', 'beside p50', 'p99', 'noisy op/s']
  return htmlTable([head, ...rows])
}

function apiTable({ api }: NamedResult): string {
  if (api === undefined) return ''
  const rows = api.map(({ path, requestsPerSecond, p50Ms, p99Ms, maxMs, failures }) => [
    path,
    ...[requestsPerSecond, p50Ms, p99Ms, maxMs, failures].map(amount),
  ])
  return htmlTable([['path', 'requests a second', 'p50 ms', 'p99 ms', 'max ms', 'failed'], ...rows])
}
