import fs from 'node:fs'

/** As much again is left to whoever else writes on this machine. */
const PART_OF_FREE_RUN = 0.5
/** Where /proc does not tell, and the least that any machine gets. */
const DIRTY_CAP_BYTES_MIN = 64 * 1024 * 1024

/**
 * Half of what may be dirty, by all together, before the kernel makes writers sleep: the middle between its background
 * and its hard threshold. Documentation/admin-guide/sysctl/vm.rst; `read` answers '' for a file that is not there.
 */
export function defaultDirtyCapBytes(read: (path: string) => string = readText): number {
  const hard = thresholdBytes(read, 'dirty')
  const wanted = thresholdBytes(read, 'dirty_background')
  // The kernel puts right what an administrator has put the wrong way round.
  const background = wanted < hard ? wanted : hard / 2
  return Math.max(DIRTY_CAP_BYTES_MIN, Math.floor(((background + hard) / 2) * PART_OF_FREE_RUN))
}

function thresholdBytes(read: (path: string) => string, name: string): number {
  const bytes = Number(read(`/proc/sys/vm/${name}_bytes`))
  return bytes > 0 ? bytes : (availableBytes(read) * Number(read(`/proc/sys/vm/${name}_ratio`))) / 100
}

function availableBytes(read: (path: string) => string): number {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(read('/proc/meminfo'))?.[1]
  return Number(kibibytes ?? 0) * 1024
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
