import { expect, test } from 'vitest'
import { metricDefinitions } from '../../../src/api/metrics/definitions.ts'
import { apiReference } from './reference/api-reference.ts'
import { cliReference } from './reference/cli-reference.ts'
import { configReference } from './reference/config-reference.ts'
import { errorsReference } from './reference/errors-reference.ts'
import { metricsReference } from './reference/metrics-reference.ts'

// `npx vitest run test/unit/cli/reference.test.ts -u` writes them anew.
const docs = (name: string) => `../../../docs/reference/${name}`

test('reference: config.md is what the schema says', async () => {
  await expect(configReference()).toMatchFileSnapshot(docs('config.md'))
})

test('reference: cli.md is what the commands say', async () => {
  await expect(await cliReference()).toMatchFileSnapshot(docs('cli.md'))
})

test('reference: metrics.md lists exactly the metrics', async () => {
  await expect(metricsReference()).toMatchFileSnapshot(docs('metrics.md'))
})

test('reference: errors.md lists exactly the codes of the one table', async () => {
  await expect(errorsReference()).toMatchFileSnapshot(docs('errors.md'))
})

test('reference: api.md lists exactly the paths of the OpenAPI document', async () => {
  await expect(await apiReference()).toMatchFileSnapshot(docs('api.md'))
})

test('metrics: names follow holdfast_<area>_<noun>_<unit>', () => {
  for (const { name, type } of metricDefinitions) {
    expect(name).toMatch(/^holdfast_[a-z]+(_[a-z]+)+$/)
    expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter'])
  }
})
