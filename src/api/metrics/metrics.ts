import { Registry } from 'prom-client'
import type { MetricSources } from '../backend.ts'
import { metricDefinitions } from './definitions.ts'
import { SampledMetric } from './sampled-metric.ts'

/** A registry whose every value is computed when it is scraped. */
export function createMetrics(sources: MetricSources): Registry {
  const registry = new Registry()
  for (const definition of metricDefinitions) {
    registry.registerMetric(new SampledMetric(definition, sources) as never)
  }
  return registry
}
