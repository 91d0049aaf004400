import type { PointSummary } from '../report.ts'
import type { ResultFile } from '../results.ts'
import type { Spread } from '../statistics.ts'

/** Medians that differ by less than this are never called different: two runs of one build differ by as much. */
const NOISE_SHARE = 0.05

/** With fewer rounds the range of a figure says little. */
const ROUNDS_TO_JUDGE = 3

export const Verdict = { same: 'same', better: 'better', worse: 'WORSE' } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

export interface Difference {
  readonly point: string
  readonly server: string
  readonly measure: 'rate' | 'CPU per operation'
  readonly before: Spread
  readonly after: Spread
  /** After over before, of the medians. */
  readonly ratio: number
  readonly verdict: Verdict
}

/** Different only where the ranges of all rounds do not overlap and the medians are further apart than noise. */
function judge(before: Spread, after: Spread, moreIsBetter: boolean): Verdict {
  const apart = after.min > before.max || after.max < before.min
  const ratio = after.median / before.median
  if (!apart || Math.abs(ratio - 1) < NOISE_SHARE) return Verdict.same
  return ratio > 1 === moreIsBetter ? Verdict.better : Verdict.worse
}

function difference(before: PointSummary, after: PointSummary, measure: Difference['measure']): Difference {
  const of = (summary: PointSummary) => (measure === 'rate' ? summary.rate : summary.serverCpu)
  return {
    point: after.point,
    server: after.server,
    measure,
    before: of(before),
    after: of(after),
    ratio: of(after).median / of(before).median,
    verdict: judge(of(before), of(after), measure === 'rate'),
  }
}

/** Every point of every server that both runs measured, in the order of the second. */
export function differences(before: ResultFile, after: ResultFile): Difference[] {
  return after.summaries.flatMap(summary => {
    const known = before.summaries.find(s => s.point === summary.point && s.server === summary.server)
    if (known === undefined) return []
    return [difference(known, summary, 'rate'), difference(known, summary, 'CPU per operation')]
  })
}

/** What makes two runs hard to compare; each is a sentence. */
export function caveats(before: ResultFile, after: ResultFile): string[] {
  const said: string[] = []
  for (const [which, { options }] of [
    ['before', before],
    ['after', after],
  ] as const) {
    if (Number(options.rounds) < ROUNDS_TO_JUDGE)
      said.push(`${which} has ${options.rounds} rounds: its range says little`)
  }
  for (const key of ['cpu', 'cpus', 'memoryBytes', 'kernel', 'node', 'fileSystem']) {
    const [then, now] = [before.machine[key], after.machine[key]]
    if (then !== now) said.push(`the machine differs: ${key} was ${then} and is ${now}`)
  }
  for (const { name, settings } of after.servers) {
    const known = before.servers.find(server => server.name === name)
    if (known !== undefined && JSON.stringify(known.settings) !== JSON.stringify(settings)) {
      said.push(`${name} ran with other settings`)
    }
  }
  return said
}
