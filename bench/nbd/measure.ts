import { type LoadResult, load } from '../client.ts'
import { cpuSecondsOf, machineCpuSeconds, residentBytes } from '../machine.ts'
import type { Client, Measurement } from '../measure.ts'
import { loadArguments, type Point } from '../points.ts'
import type { BenchServer } from '../servers/bench-server.ts'
import { fio } from './fio.ts'

export interface NbdSettings {
  readonly clientCpu: number
  readonly seconds: number
  /** Points that fio cannot do are measured by our own whatever this says. */
  readonly client: Client
}

/** Our own load generator, with the server's CPU taken around the whole run, as for fio: some have a child per connection. */
async function own(
  server: BenchServer,
  point: Point,
  round: number,
  settings: NbdSettings,
): Promise<LoadResult> {
  const { clientCpu, seconds } = settings
  const timing = ['--seconds', String(seconds), '--warm-up', '0', '--seed', String(round + 1)]
  const before = cpuSecondsOf(server.pids)
  const result = await load(server.url, clientCpu, [...loadArguments(point), ...timing], seconds)
  return { ...result, serverCpuSeconds: cpuSecondsOf(server.pids) - before }
}

/** One server, one point, one round. The same round has the same addresses for every server. */
export async function measureNbd(
  server: BenchServer,
  point: Point,
  round: number,
  settings: NbdSettings,
): Promise<Measurement> {
  // fio's engine knows no FUA, and has no pairs of a write and its flush.
  const client = point.fua || point.flush ? 'own' : settings.client
  const machineBefore = machineCpuSeconds()
  const began = performance.now()
  const result =
    client === 'own'
      ? await own(server, point, round, settings)
      : await fio(server, settings.clientCpu, point, settings.seconds, round + 1)
  const wallSeconds = (performance.now() - began) / 1000
  const known = result.clientCpuSeconds + result.serverCpuSeconds
  const others = Math.max(0, machineCpuSeconds() - machineBefore - known) / wallSeconds
  return {
    ...{ server: server.name, point: point.name, round, client },
    ...result,
    othersCoreShare: others,
    residentBytes: residentBytes(server.pids).now,
  }
}
