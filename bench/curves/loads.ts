import { type LoadResult, load } from '../client.ts'
import { residentBytes } from '../machine.ts'
import { type Spread, spread } from '../statistics.ts'
import type { CurveSettings, Sample } from './curve.ts'

export const SERVER_CPU = 0
export const CLIENT_CPU = 1
/** Long enough for writers to have touched every segment: the first write to a clean one waits for a commit. */
const WARM_UP_SECONDS = 1
const FILL_SECONDS_MAX = 300
const FILL_BLOCK_BYTES = 2 ** 20
const MB = 1e6

export const Measure = {
  rate: 'operations a second',
  cpu: 'server CPU s per 100k operations',
  p99: 'p99, µs',
  resident: 'resident, MB',
} as const
export type Measure = (typeof Measure)[keyof typeof Measure]

/** One figure that is measured once. */
export function single(value: number): Spread {
  return { median: value, min: value, max: value }
}

export function resident(pids: readonly number[]): number {
  return residentBytes(pids).now / MB
}

export interface Served {
  readonly url: string
  readonly pids: readonly number[]
}

const FIGURES: Readonly<Record<'rate' | 'cpu' | 'p99', (result: LoadResult) => number>> = {
  rate: result => result.operationsPerSecond,
  cpu: result => result.serverCpuSeconds / (result.operations / 100_000),
  p99: result => result.latencyUs.p99,
}

/** A load, `rounds` times: its rate, the server's CPU and memory, and p99, as samples of one line. */
export async function loadSamples(
  server: Served,
  args: readonly string[],
  at: { readonly series: string; readonly x: number },
  { seconds, rounds }: CurveSettings,
): Promise<Sample[]> {
  const results: LoadResult[] = []
  for (let round = 0; round < rounds; round++) {
    const timing = ['--seconds', String(seconds), '--warm-up', String(WARM_UP_SECONDS)]
    const observed = ['--seed', String(round + 1), '--server-pids', server.pids.join(',')]
    results.push(await load(server.url, CLIENT_CPU, [...args, ...timing, ...observed], seconds))
  }
  const figures = Object.entries(FIGURES).map(([name, of]) => ({
    ...at,
    measure: Measure[name as keyof typeof FIGURES],
    value: spread(results.map(of)),
  }))
  return [...figures, { ...at, measure: Measure.resident, value: single(resident(server.pids)) }]
}

/** The measures of `samples` that are wanted. */
export function only(samples: readonly Sample[], ...measures: readonly Measure[]): Sample[] {
  return samples.filter(({ measure }) => (measures as readonly string[]).includes(measure))
}

/** Writes or reads part of a volume once, in megabytes; answers bytes a second. */
export async function whole(
  url: string,
  mode: 'read' | 'write',
  offsetBytes: number,
  lengthBytes: number,
): Promise<number> {
  const count = Math.floor(lengthBytes / FILL_BLOCK_BYTES)
  const place = ['--offset', String(offsetBytes), '--length', String(count * FILL_BLOCK_BYTES)]
  const args = ['--mode', mode, '--block', String(FILL_BLOCK_BYTES), '--depth', '8', '--count', String(count)]
  return (await load(url, CLIENT_CPU, [...args, ...place], FILL_SECONDS_MAX)).bytesPerSecond
}
