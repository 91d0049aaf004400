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

interface Sample {
  readonly value: number
  readonly labels: Record<string, string | number>
  readonly metricName?: string
}

/** Bucket bounds shown: 2 µs to 67 s; the last counter of IoStats is +Inf. */
const BOUNDS_SECONDS = Array.from({ length: LATENCY_BUCKETS - 1 }, (_, i) => 2 ** (i + 1) / 1e6)

/** What prom-client asks of a metric, without a copy of the values: it reads the daemon's own counters. */
export class SampledMetric {
  readonly name: string
  readonly aggregator = 'sum'
  readonly #definition: MetricDefinition
  readonly #sources: MetricSources

  constructor(definition: MetricDefinition, sources: MetricSources) {
    this.name = definition.name
    this.#definition = definition
    this.#sources = sources
  }

  async get() {
    const { name, help, type } = this.#definition
    return { name, help, type, aggregator: this.aggregator, values: this.#samples() }
  }

  /** prom-client resets registries through this; the counters are not ours to reset. */
  reset(): void {}

  #samples(): Sample[] {
    const definition = this.#definition
    if (definition.type !== 'histogram') {
      return [...definition.read(this.#sources)].map(([labels, value]) => ({ labels: { ...labels }, value }))
    }
    return [...definition.read(this.#sources)].flatMap(([labels, value]) =>
      histogramSamples(this.name, labels, value),
    )
  }
}

function histogramSamples(name: string, labels: Labels, histogram: Histogram): Sample[] {
  const samples: Sample[] = []
  let total = 0
  for (const [i, bound] of BOUNDS_SECONDS.entries()) {
    total += histogram.buckets[i]!
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: bound }, value: total })
  }
  total += histogram.buckets[LATENCY_BUCKETS - 1]!
  samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: total })
  samples.push({ metricName: `${name}_sum`, labels: { ...labels }, value: histogram.sumUs / 1e6 })
  samples.push({ metricName: `${name}_count`, labels: { ...labels }, value: total })
  return samples
}
