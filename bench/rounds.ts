import { fill, type Measurement, prewarm } from './measure.ts'
import type { Point } from './points.ts'
import type { BenchServer } from './servers/bench-server.ts'

export interface Rounds {
  readonly servers: readonly BenchServer[]
  readonly points: readonly Point[]
  readonly rounds: number
  readonly clientCpu: number
  readonly measureOne: (server: BenchServer, point: Point, round: number) => Promise<Measurement>
}

/** Fills every volume, then measures each point on each server, round by round. */
export async function runRounds(run: Rounds): Promise<Measurement[]> {
  const { servers, points, rounds, clientCpu, measureOne } = run
  for (const server of servers) await fill(server, clientCpu)
  const measurements: Measurement[] = []
  for (let round = 0; round < rounds; round++) {
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
    // Who comes first alternates, so that what one leaves behind disturbs all alike.
    const order = round % 2 === 0 ? servers : servers.toReversed()
    for (const server of order) await prewarm(server, clientCpu)
    for (const point of points) {
      for (const server of order) measurements.push(await measureOne(server, point, round))
    }
  }
  return measurements
}
