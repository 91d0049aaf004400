import fs from 'node:fs'
import path from 'node:path'
import { Errno, errnoName, lockFile } from './system-calls.ts'

export interface DirectoryLock {
  release(): void
}

/**
 * flock(2) on the file `lock` in a directory: gone with the process however it ends. Without native calls a
 * process id in the file stands in. Throws what `refuse` makes of the reason when somebody else has it.
 */
export function lockDirectory(directory: string, refuse: (why: string) => Error): DirectoryLock {
  const lockPath = path.join(directory, 'lock')
  const fd = fs.openSync(lockPath, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
  const why = reasonNotToHave(fd, lockPath)
  if (why !== null) {
    fs.closeSync(fd)
    throw refuse(why)
  }
  fs.ftruncateSync(fd)
  fs.writeSync(fd, `${process.pid}\n`, 0)
  return { release: () => fs.closeSync(fd) }
}

function reasonNotToHave(fd: number, lockPath: string): string | null {
  const result = lockFile(fd)
  const holder = fs.readFileSync(lockPath, 'utf8').trim() || 'unknown'
  if (result === -Errno.EWOULDBLOCK) return `process ${holder} has it open`
  if (result === -Errno.ENOSYS) {
    const pid = Number(holder)
    return pid > 0 && pid !== process.pid && isAlive(pid) ? `process ${pid} has it open` : null
  }
  return result < 0 ? `it cannot be locked (${errnoName(result)})` : null
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
