import { LATENCY_BUCKETS } from '../../lib/io-stats.ts'
import type { MetricSources } from '../backend.ts'

export type Labels = Readonly<Record<string, string>>

export interface Histogram {
  /** Counts per power of two of microseconds, as IoStats keeps them. */
  readonly buckets: Float64Array
  readonly sumUs: number
}

interface Definition {
  /** holdfast_<area>_<noun>_<unit> */
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
}

export type MetricDefinition =
  | (Definition & {
      readonly type: 'counter' | 'gauge'
      read(sources: MetricSources): Iterable<readonly [Labels, number]>
    })
  | (Definition & {
      readonly type: 'histogram'
      read(sources: MetricSources): Iterable<readonly [Labels, Histogram]>
    })

/** A line of prom-client's text. */
interface Sample {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  readonly metricName?: string
}

/** Bucket bounds shown: 2 µs to 67 s; the last counter of IoStats is +Inf. */
const BOUNDS_SECONDS = Array.from({ length: LATENCY_BUCKETS - 1 }, (_, i) => 2 ** (i + 1) / 1e6)

/** The values of a metric as prom-client writes them; each histogram is read at once. */
export function* samplesOf(definition: MetricDefinition, sources: MetricSources): Generator<Sample> {
  if (definition.type !== 'histogram') {
    for (const [labels, value] of definition.read(sources)) yield { labels, value }
    return
  }
  for (const [labels, value] of definition.read(sources)) {
    yield* histogramSamples(definition.name, labels, value)
  }
}

function histogramSamples(name: string, labels: Labels, histogram: Histogram): Sample[] {
  const bucket = `${name}_bucket`
  const samples: Sample[] = []
  let value = 0
  for (const [i, le] of BOUNDS_SECONDS.entries()) {
    value += histogram.buckets[i]!
    samples.push({ metricName: bucket, labels: { ...labels, le }, value })
  }
  value += histogram.buckets[LATENCY_BUCKETS - 1]!
  samples.push({ metricName: bucket, labels: { ...labels, le: '+Inf' }, value })
  samples.push({ metricName: `${name}_sum`, labels, value: histogram.sumUs / 1e6 })
  samples.push({ metricName: `${name}_count`, labels, value })
  return samples
}
