import { describeCommit, describeMachine } from './machine.ts'
import type { Measurement } from './measure.ts'
import type { Point } from './points.ts'
import { compare, disturbance, ratioTable, summarize, summaryTable } from './report.ts'
import { saveResult } from './results.ts'
import type { BenchServer } from './servers/bench-server.ts'
import { HOLDFAST } from './servers/holdfast.ts'
import { LIMIT } from './servers/limit.ts'

export interface Outcome {
  /** What the result file's name begins with. */
  readonly prefix: string
  readonly directory: string
  readonly options: Readonly<Record<string, unknown>>
  readonly servers: readonly BenchServer[]
  /** Sentences about servers that are not among them. */
  readonly leftOut: readonly string[]
  readonly points: readonly Point[]
  /** Whom the goals are held against. */
  readonly goalOf: string
  readonly measurements: readonly Measurement[]
  /** For the result file as well. */
  readonly more?: Readonly<Record<string, unknown>>
}

function isMarked({ name, settings }: BenchServer): boolean {
  return name === HOLDFAST && settings.configuration !== 'default'
}

/** Prints the tables of a run and stores all of it. */
export function conclude(outcome: Outcome): void {
  const { servers, points, measurements, goalOf, leftOut } = outcome
  const summaries = points.flatMap(point => servers.map(({ name }) => summarize(measurements, name, point)))
  const marked = new Set(servers.filter(isMarked).map(({ name }) => name))
  console.log(summaryTable(summaries, marked))
  for (const { name, settings } of servers.filter(isMarked)) {
    console.log(`* ${name} ran with ${settings.configuration}`)
  }
  const others = servers.map(({ name }) => name).filter(name => name !== HOLDFAST && name !== LIMIT)
  const ratios = others.flatMap(other =>
    points.flatMap(point => compare(measurements, point, other, goalOf) ?? []),
  )
  for (const other of others) {
    const ofOne = ratios.filter(ratio => ratio.other === other)
    if (ofOne.length > 0) console.log(`\n${ratioTable(ofOne, other)}`)
  }
  for (const sentence of leftOut) console.log(`\n${sentence}`)
  const disturbed = disturbance(measurements)
  if (disturbed !== null) console.log(`\n${disturbed}`)
  const file = saveResult(outcome.prefix, {
    ...describeCommit(),
    machine: describeMachine(outcome.directory),
    options: outcome.options,
    servers: servers.map(({ name, version, argv, settings }) => ({ name, version, argv, settings })),
    leftOut,
    ...outcome.more,
    summaries,
    ratios,
    measurements,
  })
  console.log(`\nall rounds: ${file}`)
}
