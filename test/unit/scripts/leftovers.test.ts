import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect, onTestFinished, test } from 'vitest'
// @ts-expect-error scripts are plain JavaScript
import { removeLeftovers } from '../../../scripts/lib/leftovers.mjs'

const TEST_RUN = new URL('../../../scripts/lib/test-run.mjs', import.meta.url).href
/** A run that makes a directory and starts what outlives it, then waits. */
const RUN = `
  const { runDirectory, testRun } = await import('${TEST_RUN}')
  testRun()
  const { spawn } = await import('node:child_process')
  const left = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' })
  console.log(JSON.stringify({ pid: left.pid, directory: runDirectory('leftovers-test') }))
  setInterval(() => {}, 60_000)`

interface Begun {
  readonly run: ChildProcess
  /** What it started. */
  readonly pid: number
  readonly directory: string
}

async function beginRun(): Promise<Begun> {
  const { TEST_RUN_OF_HOLDFAST: _, ...env } = process.env
  const run = spawn(process.execPath, ['--input-type=module', '--eval', RUN], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(run.stdout!), 'line')
  const { pid, directory } = JSON.parse(line as string) as { pid: number; directory: string }
  onTestFinished(async () => {
    await kill(run)
    if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  })
  return { run, pid, directory }
}

async function kill(run: ChildProcess): Promise<void> {
  if (run.exitCode !== null || run.signalCode !== null) return
  const ended = once(run, 'exit')
  run.kill('SIGKILL')
  await ended
}

/** Nobody may have waited for it yet: a zombie has no command line. */
function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== ''
  } catch {
    return false
  }
}

test('a run that was killed: the next ends its processes and removes its directory', async () => {
  const { run, pid, directory } = await beginRun()
  expect([isRunning(pid), existsSync(directory)]).toEqual([true, true])
  await kill(run)
  await removeLeftovers()
  expect([isRunning(pid), existsSync(directory)]).toEqual([false, false])
})

test('a run that goes on keeps what it has', async () => {
  const { pid, directory } = await beginRun()
  await removeLeftovers()
  expect([isRunning(pid), existsSync(directory)]).toEqual([true, true])
})
