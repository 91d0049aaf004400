import { HoldfastError } from '../errors/holdfast-error.ts'
import { type DirectoryLock, lockDirectory } from '../lib/directory-lock.ts'

/** One daemon per brick. Throws ERR_BRICK_LOCKED, naming the directory. */
export function lockBrick(directory: string): DirectoryLock {
  return lockDirectory(
    directory,
    why => new HoldfastError('ERR_BRICK_LOCKED', `the brick in ${directory} is in use: ${why}`),
  )
}
