import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endedRunIn, RUN_VARIABLE } from './test-run.mjs'

const NAMESPACES = '/run/netns'
const KILL_ROUNDS_MAX = 50
const KILL_ROUND_MS = 100
/** Of a run that is over when a shell that it started goes on: whatever we run in must not be killed. */
const INHERITED = `${RUN_VARIABLE}=${process.env[RUN_VARIABLE]}`

function entriesOf(directory) {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function textOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** Processes whose environment names a run that is over. A daemon, an etcd or a guest outlives whoever started it. */
function leftProcesses() {
  return entriesOf('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(pid => {
      const variables = textOf(`/proc/${pid}/environ`).split('\0')
      const run = variables.find(variable => variable.startsWith(`${RUN_VARIABLE}=`))
      return run !== undefined && run !== INHERITED && endedRunIn(run)
    })
    .map(Number)
}

async function killLeftProcesses() {
  const killed = new Set()
  for (let round = 0; round < KILL_ROUNDS_MAX; round++) {
    const pids = leftProcesses()
    if (pids.length === 0) break
    for (const pid of pids) {
      killed.add(pid)
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if (error.code !== 'ESRCH' && error.code !== 'EPERM') throw error
      }
    }
    await sleep(KILL_ROUND_MS)
  }
  return [...killed].map(pid => `process ${pid}`)
}

/** The innermost first. */
function unmountLeft() {
  const points = textOf('/proc/self/mounts')
    .split('\n')
    .map(line => line.split(' ')[1] ?? '')
  const left = points
    .filter(point => point.startsWith(`${tmpdir()}/holdfast-`) && endedRunIn(point))
    .reverse()
  return left.filter(point => spawnSync('umount', [point]).status === 0)
}

function deleteLeftNamespaces() {
  const left = entriesOf(NAMESPACES).filter(name => name.startsWith('holdfast-') && endedRunIn(name))
  return left.filter(name => spawnSync('ip', ['netns', 'delete', name]).status === 0)
}

function removeLeftDirectories() {
  const left = entriesOf(tmpdir()).filter(name => name.startsWith('holdfast-') && endedRunIn(name))
  return left.filter(name => {
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true })
      return true
    } catch {
      return false
    }
  })
}

/**
 * Takes away what runs of the tests that were killed have left: processes, mounts, network namespaces and temporary
 * directories. Nothing of a run that goes on, nor of anybody else: all of it names its run. What may not be removed
 * stays, and what went is printed.
 */
export async function removeLeftovers() {
  const processes = await killLeftProcesses()
  const removed = [...processes, ...unmountLeft(), ...deleteLeftNamespaces(), ...removeLeftDirectories()]
  if (removed.length > 0) console.log(`removed what runs that were killed had left: ${removed.join(', ')}`)
}
