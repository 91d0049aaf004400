import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'

const TICKS_PER_SECOND = 100

function output(file: string, args: readonly string[]): string | null {
  try {
    return execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}

/** What somebody needs to know to judge the figures. */
export function describeMachine(directory: string) {
  const sysctl = (name: string) => Number(readFileSync(`/proc/sys/vm/${name}`, 'utf8'))
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: cpus().length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    fileSystem: output('stat', ['--file-system', '--format=%T', directory]),
    dirtyBackgroundRatio: sysctl('dirty_background_ratio'),
    dirtyExpireCentisecs: sysctl('dirty_expire_centisecs'),
  }
}

export function describeCommit() {
  return {
    commit: output('git', ['rev-parse', 'HEAD']),
    changedFiles:
      output('git', ['status', '--porcelain', '--', 'src'])?.split('\n').filter(Boolean).length ?? null,
  }
}

/** CPU seconds that the whole machine has spent so far, idle and waiting for disks apart. proc(5). */
export function machineCpuSeconds(): number {
  const [line] = readFileSync('/proc/stat', 'utf8').split('\n')
  const [user, nice, system, , , irq, softirq] = (line as string)
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number) as number[]
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0)) / TICKS_PER_SECOND
}

/** CPU seconds of processes so far, with those of their children that have ended. proc(5). */
export function cpuSecondsOf(pids: readonly number[]): number {
  const ticks = pids.map(pid => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name of the program, in parentheses, may hold anything.
    const [user, system, childrenUser, childrenSystem] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 15)
      .map(Number) as [number, number, number, number]
    return user + system + childrenUser + childrenSystem
  })
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND
}

/** Resident memory of processes now and at its highest, in bytes; none of those that have ended. */
export function residentBytes(pids: readonly number[]): { now: number; peak: number } {
  const field = (status: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
  const statuses = pids.flatMap(pid => statusOf(pid) ?? [])
  return {
    now: statuses.reduce((sum, status) => sum + field(status, 'VmRSS'), 0),
    peak: statuses.reduce((sum, status) => sum + field(status, 'VmHWM'), 0),
  }
}

function statusOf(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
}

/** A process and all that descend from it. */
export function processTree(pid: number): number[] {
  const children =
    output('pgrep', ['-P', String(pid)])
      ?.split('\n')
      .filter(Boolean)
      .map(Number) ?? []
  return [pid, ...children.flatMap(processTree)]
}
