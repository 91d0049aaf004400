import fs from 'node:fs'
import path from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { Errno, errnoName, lockFile } from '../lib/system-calls.ts'

export interface BrickLock {
  release(): void
}

/**
 * flock(2) on the brick's `lock`: gone with the process however it ends. Without native calls a process id in
 * the file stands in. Throws ERR_BRICK_LOCKED, naming the directory.
 */
export function lockBrick(directory: string): BrickLock {
  const lockPath = path.join(directory, 'lock')
  const fd = fs.openSync(lockPath, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600)
  const refuse = (why: string) => {
    fs.closeSync(fd)
    return new HoldfastError('ERR_BRICK_LOCKED', `the brick in ${directory} is in use: ${why}`)
  }
  const result = lockFile(fd)
  if (result === -Errno.EWOULDBLOCK) throw refuse(`another daemon has it open (process ${holder(lockPath)})`)
  if (result === -Errno.ENOSYS) {
    const pid = Number(holder(lockPath))
    if (pid > 0 && pid !== process.pid && isAlive(pid)) throw refuse(`process ${pid} has it open`)
  } else if (result < 0) {
    throw refuse(`it cannot be locked (${errnoName(result)})`)
  }
  fs.ftruncateSync(fd)
  fs.writeSync(fd, `${process.pid}\n`, 0)
  return { release: () => fs.closeSync(fd) }
}

function holder(lockPath: string): string {
  return fs.readFileSync(lockPath, 'utf8').trim() || 'unknown'
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
