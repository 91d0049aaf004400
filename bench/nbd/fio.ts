import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { LoadResult } from '../client.ts'
import { cpuSecondsOf } from '../machine.ts'
import type { Point } from '../points.ts'
import { type BenchServer, VOLUME_BYTES } from '../servers/bench-server.ts'

const run = promisify(execFile)
/** Added to the time that a run is asked to take. */
const RUN_MARGIN_MS = 60_000
/** As our own load generator does by default. */
const MIXED_READ_PERCENT = 70
const PERCENTILES = '50:99:99.9'

interface FioDirection {
  readonly total_ios: number
  readonly iops: number
  readonly bw_bytes: number
  readonly runtime: number
  readonly clat_ns: { readonly max: number; readonly percentile?: Readonly<Record<string, number>> }
}

interface FioJob {
  readonly read: FioDirection
  readonly write: FioDirection
  readonly mixed?: FioDirection
  readonly usr_cpu: number
  readonly sys_cpu: number
}

/** One run of fio's NBD engine, pinned to `cpu`, over the whole volume. */
export async function fio(
  server: BenchServer,
  cpu: number,
  point: Point,
  seconds: number,
  seed: number,
): Promise<LoadResult> {
  const connections = point.connections ?? 1
  const args = [
    '--name=bench',
    '--ioengine=nbd',
    `--uri=${server.url}`,
    `--rw=${point.mode}`,
    ...(point.mode === 'randrw' ? [`--rwmixread=${MIXED_READ_PERCENT}`, '--unified_rw_reporting=1'] : []),
    `--bs=${point.blockBytes}`,
    `--iodepth=${point.queueDepth}`,
    `--size=${VOLUME_BYTES}`,
    `--numjobs=${connections}`,
    '--group_reporting',
    `--randseed=${seed}`,
    '--norandommap',
    `--percentile_list=${PERCENTILES}`,
    '--output-format=json',
    '--time_based',
    `--runtime=${seconds}`,
  ]
  const before = cpuSecondsOf(server.pids)
  const { stdout } = await run('taskset', ['-c', String(cpu), 'fio', ...args], {
    timeout: seconds * 1000 + RUN_MARGIN_MS,
  })
  const serverCpuSeconds = cpuSecondsOf(server.pids) - before
  return resultOf(stdout, point, connections, serverCpuSeconds)
}

/** fio reports reads and writes apart, or both as `mixed`. */
function sideOf(job: FioJob, { mode }: Point): FioDirection {
  if (mode === 'randrw') return job.mixed as FioDirection
  return mode.endsWith('read') ? job.read : job.write
}

function resultOf(stdout: string, point: Point, connections: number, serverCpuSeconds: number): LoadResult {
  // fio says that it is connected before its JSON begins.
  const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: readonly FioJob[] }
  const job = jobs[0] as FioJob
  const side = sideOf(job, point)
  const seconds = side.runtime / 1000
  const percentile = (name: string) => (side.clat_ns.percentile?.[name] ?? 0) / 1000
  return {
    operations: side.total_ios,
    seconds,
    operationsPerSecond: side.iops,
    bytesPerSecond: side.bw_bytes,
    latencyUs: {
      p50: percentile('50.000000'),
      p99: percentile('99.000000'),
      p999: percentile('99.900000'),
      max: side.clat_ns.max / 1000,
    },
    // fio gives the share of each job's time.
    clientCpuSeconds: ((job.usr_cpu + job.sys_cpu) / 100) * seconds * connections,
    serverCpuSeconds,
  }
}
