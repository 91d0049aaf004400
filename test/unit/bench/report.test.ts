import { describe, expect, test } from 'vitest'
import type { Measurement } from '../../../bench/measure.ts'
import type { Point } from '../../../bench/points.ts'
import { compare, summarize, summaryTable } from '../../../bench/report.ts'

const POINT: Point = { name: 'p', mode: 'randread', blockBytes: 4096, queueDepth: 1, goal: 2 }

function measured(server: string, ...rates: readonly number[]): Measurement[] {
  return rates.map((operationsPerSecond, round) => ({
    ...{ server, point: 'p', round, client: 'own', operations: operationsPerSecond, seconds: 1 },
    ...{ operationsPerSecond, bytesPerSecond: 0, othersCoreShare: 0, residentBytes: 3e6 },
    latencyUs: { p50: 1, p99: 2, p999: 3, max: 4 },
    ...{ clientCpuSeconds: 0.5, serverCpuSeconds: 1 },
  }))
}

const ALL = [
  ...measured('holdfast', 300, 30, 300),
  ...measured('tgt', 100, 10, 100),
  ...measured('limit', 600, 60, 600),
]

describe('what a point says', () => {
  test('the share of the limit is paired by round, and the limit has none of itself', () => {
    expect(summarize(ALL, 'holdfast', POINT).ofLimit).toEqual({ median: 0.5, min: 0.5, max: 0.5 })
    expect(summarize(ALL, 'limit', POINT).ofLimit).toBeNull()
    expect(summarize(measured('holdfast', 1), 'holdfast', POINT).ofLimit).toBeNull()
  })

  test('the goal is held against one server only', () => {
    expect(compare(ALL, POINT, 'tgt')).toMatchObject({ other: 'tgt', goal: 2, rate: { median: 3 } })
    expect(compare(ALL, POINT, 'limit', 'tgt')).toMatchObject({ goal: null, rate: { median: 0.5 } })
    expect(compare(ALL, POINT, 'istgt', 'tgt')).toBeNull()
  })

  test('a server with other settings is marked', () => {
    const summaries = ['holdfast', 'tgt'].map(server => summarize(ALL, server, POINT))
    expect(summaryTable(summaries, new Set(['holdfast']))).toMatch(/holdfast\* .*\n.* tgt /)
  })
})
