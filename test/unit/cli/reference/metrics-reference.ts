import { metricDefinitions } from '../../../../src/api/metrics/definitions.ts'

/** docs/reference/metrics.md, made from the definitions. */
export function metricsReference(): string {
  const rows = metricDefinitions.map(
    ({ name, type, labels, help }) => `| \`${name}\` | ${type} | ${labels.join(', ') || '-'} | ${help} |`,
  )
  return `${HEAD}\n${rows.join('\n')}\n`
}

const HEAD = `# Metrics

\`GET /metrics\` of the API, in the text format of Prometheus. Values are read from the daemon's own counters when it is
asked; nothing is done per operation. Latencies have a bucket per power of two, from 2 µs to 67 s.

| name | type | labels | what |
|---|---|---|---|`
