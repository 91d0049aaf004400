import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Sample } from './curves/curve.ts'
import type { PointRatio, PointSummary } from './report.ts'
import type { Spread } from './statistics.ts'

/** Where every run leaves its file; git ignores it. */
export const RESULTS_DIRECTORY = fileURLToPath(new URL('./results', import.meta.url))

export const RESULT_FORMAT = 1

/** What the readers of a result file rely on; the file holds more. */
export interface ResultFile {
  readonly format: number
  readonly at: string
  readonly commit: string | null
  readonly changedFiles: number | null
  readonly machine: Readonly<Record<string, string | number | null>>
  readonly options: Readonly<Record<string, unknown>>
  readonly servers: readonly {
    readonly name: string
    readonly version: string
    readonly argv: readonly string[]
    readonly settings: Readonly<Record<string, unknown>>
  }[]
  readonly summaries: readonly PointSummary[]
  readonly ratios?: readonly PointRatio[]
  /** Sentences about servers that were not there. */
  readonly leftOut?: readonly string[]
  readonly curve?: CurveResult
  readonly conditions?: readonly ConditionResult[]
  readonly api?: readonly ApiResult[]
}

export interface CurveResult {
  readonly name: string
  readonly title: string
  readonly xLabel: string
  readonly samples: readonly Sample[]
}

/** One path of the REST API under autocannon. */
export interface ApiResult {
  readonly path: string
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Answers other than 2xx, and connections that broke. */
  readonly failures: number
}

/** Latencies of a quiet client in microseconds, alone and beside something bad. */
export interface ConditionResult {
  readonly name: string
  readonly alone: { readonly p50: Spread; readonly p99: Spread }
  readonly beside: { readonly p50: Spread; readonly p99: Spread }
  /** Operations a second of the noisy client, where there was one. */
  readonly noisyRate: number | null
}

/** Stores a run under a name that sorts by time; answers the path from here. */
export function saveResult(prefix: string, result: Readonly<Record<string, unknown>>): string {
  mkdirSync(RESULTS_DIRECTORY, { recursive: true })
  const at = new Date().toISOString()
  const file = join(RESULTS_DIRECTORY, `${prefix}${at.replaceAll(/[:.]/g, '-')}.json`)
  writeFileSync(file, `${JSON.stringify({ format: RESULT_FORMAT, at, ...result }, null, 2)}\n`)
  return relative(process.cwd(), file)
}

/** Throws an Error that names the file when it is no result of the bench or of another format. */
export function readResult(file: string): ResultFile {
  let parsed: Partial<ResultFile>
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8')) as Partial<ResultFile>
  } catch (error) {
    throw new Error(`${file} is no result of the bench: ${(error as Error).message}`, { cause: error })
  }
  if (parsed.format !== RESULT_FORMAT || !Array.isArray(parsed.summaries)) {
    throw new Error(`${file} is no result of the bench in format ${RESULT_FORMAT}`)
  }
  return parsed as ResultFile
}

/** The newest files first. */
export function resultFiles(): string[] {
  const names = readdirSync(RESULTS_DIRECTORY).filter(name => name.endsWith('.json'))
  const time = (name: string) => name.slice(name.search(/\d{4}-/))
  return names.toSorted((a, b) => time(b).localeCompare(time(a))).map(name => join(RESULTS_DIRECTORY, name))
}
