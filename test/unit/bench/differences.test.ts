import { describe, expect, test } from 'vitest'
import { caveats, differences } from '../../../bench/compare/differences.ts'
import type { ResultFile } from '../../../bench/results.ts'

function run(rate: [number, number, number], cpu: [number, number, number], kernel = '6.1'): ResultFile {
  const spread = ([min, median, max]: [number, number, number]) => ({ min, median, max })
  return {
    format: 1,
    at: '',
    commit: null,
    changedFiles: 0,
    machine: { kernel },
    options: { rounds: '5' },
    servers: [{ name: 'holdfast', version: '1', argv: [], settings: { checksums: 'on' } }],
    summaries: [
      {
        point: 'randread-4k-qd32',
        server: 'holdfast',
        client: 'own',
        rate: spread(rate),
        rateUnit: 'ops/s',
        serverCpu: spread(cpu),
        latencyP50Us: 1,
        latencyP99Us: 1,
        latencyP999Us: 1,
        clientCoreShare: 0.5,
      },
    ],
  }
}

describe('comparing two runs of the bench', () => {
  test('a rate below every round of before is worse', () => {
    const [rate] = differences(run([95, 100, 105], [1, 1, 1]), run([70, 80, 90], [1, 1, 1]))
    expect(rate).toMatchObject({ measure: 'rate', verdict: 'WORSE', ratio: 0.8 })
  })

  test('ranges that overlap are the same, however far the medians are apart', () => {
    const [rate] = differences(run([60, 100, 105], [1, 1, 1]), run([59, 70, 90], [1, 1, 1]))
    expect(rate?.verdict).toBe('same')
  })

  test('more CPU per operation is worse, less is better', () => {
    const more = differences(run([1, 1, 1], [2, 2.1, 2.2]), run([1, 1, 1], [3, 3.1, 3.2]))
    const less = differences(run([1, 1, 1], [2, 2.1, 2.2]), run([1, 1, 1], [1, 1.1, 1.2]))
    expect([more[1]?.verdict, less[1]?.verdict]).toEqual(['WORSE', 'better'])
  })

  test('another kernel is said', () => {
    expect(caveats(run([1, 1, 1], [1, 1, 1]), run([1, 1, 1], [1, 1, 1], '6.2'))).toEqual([
      'the machine differs: kernel was 6.1 and is 6.2',
    ])
  })
})
