import { mkdtempSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Names the run in the environment of everything that it starts; a daemon refuses what it does not know as HOLDFAST_*. */
export const RUN_VARIABLE = 'TEST_RUN_OF_HOLDFAST'
/** Ends what is named after a run: the process that began it, when that was started, and who numbers processes. */
const RUN = /\brun-(\d+)-(\d+)-(\d+)\b/

let current = null

/** Process ids mean nothing to another pid namespace. */
function pidNamespace() {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))[0]
  } catch {
    return '0'
  }
}

/** In ticks since the boot, proc(5) field 22; null when there is no such process, or a dead one. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' || state === 'X' ? null : fields[18]
  } catch {
    return null
  }
}

/**
 * The run of tests that this process belongs to, which is its own unless whoever started it began one.
 * @returns {string} letters, digits and hyphens
 */
export function testRun() {
  if (current === null) {
    const inherited = process.env[RUN_VARIABLE]
    const own = `run-${process.pid}-${startOf(process.pid) ?? 0}-${pidNamespace()}`
    current = inherited === undefined || endedRunIn(inherited) ? own : inherited
    process.env[RUN_VARIABLE] = current
  }
  return current
}

/** Whether `text` names a run of ours that is over. */
export function endedRunIn(text) {
  const [, pid, start, namespace] = RUN.exec(text) ?? []
  return namespace !== undefined && namespace === pidNamespace() && startOf(pid) !== start
}

/** A new temporary directory that the next run removes, should this one be killed. */
export function runDirectory(purpose) {
  return mkdtempSync(join(tmpdir(), `holdfast-${purpose}-${testRun()}-`))
}
