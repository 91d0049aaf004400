import fs from 'node:fs'

/** Below half of its threshold the kernel leaves the writer alone, whoever else dirties pages. */
const PART_OF_THRESHOLD = 0.5
/** Where /proc does not tell, and the least that any machine gets. */
const DIRTY_CAP_BYTES_MIN = 64 * 1024 * 1024

/** Half of the kernel's background writeback threshold now. Documentation/admin-guide/sysctl/vm.rst */
export function defaultDirtyCapBytes(): number {
  const bytes = readNumber('/proc/sys/vm/dirty_background_bytes')
  const ratio = readNumber('/proc/sys/vm/dirty_background_ratio')
  const threshold = bytes > 0 ? bytes : (availableBytes() * ratio) / 100
  return Math.max(DIRTY_CAP_BYTES_MIN, Math.floor(threshold * PART_OF_THRESHOLD))
}

function availableBytes(): number {
  const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(readText('/proc/meminfo'))?.[1]
  return Number(kibibytes ?? 0) * 1024
}

function readNumber(path: string): number {
  return Number(readText(path).trim() || 0)
}

function readText(path: string): string {
  try {
    return fs.readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
