import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { binaryOf, type CProgram, compile } from './compile.ts'

const run = promisify(execFile)
const directory = fileURLToPath(new URL('./client', import.meta.url))
/** Added to the time that a run is asked to take. */
const RUN_MARGIN_MS = 60_000
const SHARED = ['run.c', 'options.c']

/** By the beginning of the addresses that it loads. */
const PROGRAMS: Readonly<Record<string, CProgram>> = {
  'iscsi:': {
    name: 'iscsi-load',
    directory,
    sources: ['iscsi-load.c', 'batched-socket.c', ...SHARED],
    libraries: ['-liscsi'],
  },
  'nbd:': { name: 'nbd-load', directory, sources: ['nbd-load.c', 'nbd-connection.c', ...SHARED] },
}

/** What bench/client/run.c prints. */
export interface LoadResult {
  readonly operations: number
  readonly seconds: number
  readonly operationsPerSecond: number
  readonly bytesPerSecond: number
  readonly latencyUs: {
    readonly p50: number
    readonly p99: number
    readonly p999: number
    readonly max: number
  }
  readonly clientCpuSeconds: number
  readonly serverCpuSeconds: number
}

/** Compiles what has changed of the load generators. Needs gcc, and libiscsi-dev for the one over iSCSI. */
export async function buildClient(
  protocols: readonly (keyof typeof PROGRAMS)[] = ['iscsi:', 'nbd:'],
): Promise<void> {
  for (const protocol of protocols) await compile(PROGRAMS[protocol] as CProgram)
}

/** One run of the load generator for the protocol of `url`, pinned to `cpu`; `niceness` as nice(1) takes it. */
export async function load(
  url: string,
  cpu: number,
  args: readonly string[],
  seconds: number,
  niceness = 0,
): Promise<LoadResult> {
  const timeout = seconds * 1000 + RUN_MARGIN_MS
  const binary = binaryOf(PROGRAMS[new URL(url).protocol] as CProgram)
  const command = ['-n', String(niceness), binary, '--cpu', String(cpu), ...args, url]
  const { stdout } = await run('nice', command, { timeout })
  return JSON.parse(stdout) as LoadResult
}

/** Operations a second of libiscsi's own random reader, against which the load generator is checked. */
export async function iscsiPerf(url: string, cpu: number, depth: number, seconds: number): Promise<number> {
  const blocksPerRequest = 8
  const args = ['-c', String(cpu), 'iscsi-perf', '-m', String(depth), '-b', String(blocksPerRequest)]
  const { stdout } = await run('taskset', [...args, '-t', String(seconds), '-r', url], {
    timeout: seconds * 1000 + RUN_MARGIN_MS,
  })
  const averages = [...stdout.matchAll(/iops average (\d+)/g)]
  const last = averages.at(-1)?.[1]
  if (last === undefined) throw new Error(`iscsi-perf printed no figure:\n${stdout}`)
  return Number(last)
}
