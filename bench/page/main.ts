import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { PointSummary } from '../report.ts'
import { RESULTS_DIRECTORY, type ResultFile, readResult, resultFiles } from '../results.ts'
import { barChart } from './bar-chart.ts'

// `npm run bench:page -- [RESULT…]`: one page with plots, of the given files or of the newest run of each kind.
const STYLE = readFileSync(new URL('./page.css', import.meta.url), 'utf8')

function newestOfEachKind(): string[] {
  const seen = new Set<string>()
  return resultFiles().filter(file => {
    const kind = relative(RESULTS_DIRECTORY, file).replace(/\d{4}-.*$/, '')
    if (seen.has(kind)) return false
    seen.add(kind)
    return true
  })
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function charts(result: ResultFile): string {
  const points = [...new Set(result.summaries.map(({ point }) => point))]
  return points
    .map(point => {
      const of = result.summaries.filter(summary => summary.point === point)
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
      return `<div class="pair">${rate}${cpu}</div>`
    })
    .join('\n')
}

function ratios(result: ResultFile): string {
  if (result.ratios === undefined || result.ratios.length === 0) return ''
  const rows = result.ratios.map(({ point, rate, goal }) => {
    const missed = goal !== null && rate.median < goal
    const spread = `${rate.median.toFixed(2)} (${rate.min.toFixed(2)}-${rate.max.toFixed(2)})`
    const cells = [
      point,
      spread,
      goal === null ? '' : `${goal}`,
      goal === null ? '' : missed ? 'missed' : 'reached',
    ]
    return `<tr${missed ? ' class="missed"' : ''}>${cells.map(cell => `<td>${cell}</td>`).join('')}</tr>`
  })
  return `<table><tr><th>ratio</th><th>median (range)</th><th>goal</th><th></th></tr>${rows.join('')}</table>`
}

function section(file: string, result: ResultFile): string {
  const machine = Object.entries(result.machine).map(([key, value]) => `${key} ${value}`)
  const servers = result.servers.map(
    ({ name, version, argv, settings }) =>
      `<li><b>${escapeHtml(name)}</b> ${escapeHtml(version)} <code>${escapeHtml(argv.join(' '))}</code> ${escapeHtml(JSON.stringify(settings))}</li>`,
  )
  return `<section><h2>${escapeHtml(relative(RESULTS_DIRECTORY, file))}</h2>
<p>${escapeHtml(result.at)}, commit ${escapeHtml(result.commit ?? 'unknown')}${result.changedFiles ? `, ${result.changedFiles} files changed` : ''}; ${escapeHtml(machine.join(', '))}</p>
${ratios(result)}${charts(result)}<details><summary>servers and their settings</summary><ul>${servers.join('')}</ul></details></section>`
}

const given = process.argv.slice(2)
const files = given.length > 0 ? given : newestOfEachKind()
const sections = files.map(file => section(file, readResult(file)))
const page = join(RESULTS_DIRECTORY, 'index.html')
writeFileSync(
  page,
  `<!doctype html><html lang="en"><meta charset="utf-8"><title>Holdfast bench</title><style>${STYLE}</style>
<h1>Holdfast bench</h1><p>Bars are medians, whiskers the least and greatest round. How to read them: bench/README.md.</p>
${sections.join('\n')}</html>\n`,
)
console.log(relative(process.cwd(), page))
