import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SOURCES = fileURLToPath(new URL('./client', import.meta.url))
const CACHE = fileURLToPath(new URL('../node_modules/.cache/holdfast-bench', import.meta.url))
const BINARY = join(CACHE, 'load')
/** Added to the time that a run is asked to take. */
const RUN_MARGIN_MS = 60_000

/** What bench/client/load.c prints. */
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

/** Compiles the load generator unless the cached one is newer than its sources. Needs gcc and libiscsi-dev. */
export async function buildClient(): Promise<void> {
  const files = readdirSync(SOURCES).map(name => join(SOURCES, name))
  const newest = Math.max(...files.map(file => statSync(file).mtimeMs))
  if (existsSync(BINARY) && statSync(BINARY).mtimeMs > newest) return
  mkdirSync(CACHE, { recursive: true })
  const units = files.filter(file => file.endsWith('.c'))
  await run('gcc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', BINARY, ...units, '-liscsi'])
}

/** One run of the load generator, pinned to `cpu`. */
export async function load(
  url: string,
  cpu: number,
  args: readonly string[],
  seconds: number,
): Promise<LoadResult> {
  const timeout = seconds * 1000 + RUN_MARGIN_MS
  const { stdout } = await run(BINARY, ['--cpu', String(cpu), ...args, url], { timeout })
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
