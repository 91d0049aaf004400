import { type LoadResult, load } from './client.ts'
import { machineCpuSeconds, residentBytes } from './machine.ts'
import { loadArguments, type Point } from './points.ts'
import { type BenchServer, VOLUME_BYTES } from './servers/bench-server.ts'

const FILL_BLOCK_BYTES = 1024 ** 2
const FILL_DEPTH = 8
const FILL_SECONDS_MAX = 120

/** Core share that others may use during a measurement before it counts as disturbed. */
export const DISTURBED_CORE_SHARE = 0.1

/** What made the load: our own load generator, or fio. */
export type Client = 'own' | 'fio'

export interface Measurement extends LoadResult {
  readonly server: string
  readonly point: string
  readonly round: number
  readonly client: Client
  /** CPU that neither this server nor the client used while the client ran, as a share of one core. */
  readonly othersCoreShare: number
  /** Of all the server's processes, right after. */
  readonly residentBytes: number
}

export interface MeasureSettings {
  readonly clientCpu: number
  readonly seconds: number
  readonly warmUpSeconds: number
}

function wholeVolume(mode: 'read' | 'write'): string[] {
  const count = VOLUME_BYTES / FILL_BLOCK_BYTES
  return [
    '--mode',
    mode,
    '--block',
    String(FILL_BLOCK_BYTES),
    '--depth',
    String(FILL_DEPTH),
    '--count',
    String(count),
  ]
}

/** Writes every byte once, so that nobody is measured on holes. */
export async function fill(server: BenchServer, clientCpu: number): Promise<void> {
  if (server.holdsNothing) return
  await load(server.url, clientCpu, wholeVolume('write'), FILL_SECONDS_MAX)
}

/** Reads every byte through the protocol: what the kernel may have evicted is back in page cache. */
export async function prewarm(server: BenchServer, clientCpu: number): Promise<void> {
  if (server.holdsNothing) return
  await load(server.url, clientCpu, wholeVolume('read'), FILL_SECONDS_MAX)
}

/** One server, one point, one round. The same round has the same addresses for every server. */
export async function measure(
  server: BenchServer,
  point: Point,
  round: number,
  settings: MeasureSettings,
): Promise<Measurement> {
  const machineBefore = machineCpuSeconds()
  const began = performance.now()
  const timing = ['--seconds', String(settings.seconds), '--warm-up', String(settings.warmUpSeconds)]
  const observed = ['--seed', String(round + 1), '--server-pids', server.pids.join(',')]
  const args = [...loadArguments(point), ...timing, ...observed]
  const result = await load(server.url, settings.clientCpu, args, settings.seconds + settings.warmUpSeconds)
  const wallSeconds = (performance.now() - began) / 1000
  // The client counts its measured time only; the warm-up costs about the same per second.
  const known = ((result.clientCpuSeconds + result.serverCpuSeconds) / result.seconds) * wallSeconds
  const others = Math.max(0, machineCpuSeconds() - machineBefore - known) / wallSeconds
  return {
    ...{ server: server.name, point: point.name, round, client: 'own' },
    ...result,
    othersCoreShare: others,
    residentBytes: residentBytes(server.pids).now,
  }
}
