import { Registry } from 'prom-client'
import { inPasses } from '../../lib/in-passes.ts'
import type { MetricSources } from '../backend.ts'
import { metricDefinitions } from './definitions.ts'
import { type MetricDefinition, samplesOf } from './samples.ts'

/** About half a millisecond's work; a volume has some 37. */
const SAMPLES_PER_PASS = 128

export const METRICS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

/** What Prometheus scrapes, computed when it does, while I/O goes on. */
export async function metricsText(sources: MetricSources): Promise<string> {
  const texts: string[] = []
  for (const definition of metricDefinitions) texts.push(await metricText(definition, sources))
  return texts.join('\n')
}

/** prom-client writes the values, which are the daemon's own counters, part by part: a registry is one part here. */
async function metricText(definition: MetricDefinition, sources: MetricSources): Promise<string> {
  const { name, help, type } = definition
  let values: readonly object[] = []
  const registry = new Registry()
  registry.registerMetric({
    name,
    get: async () => ({ name, help, type, aggregator: 'sum', values }),
  } as never)
  const head = await registry.metrics()
  let text = head
  for await (const samples of inPasses(samplesOf(definition, sources), SAMPLES_PER_PASS)) {
    values = samples
    text += (await registry.metrics()).slice(head.length)
  }
  return text
}
