import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { type DirectoryLock, lockDirectory } from '../lib/directory-lock.ts'
import { systemReason } from '../lib/system-error.ts'

/** Makes the data directory where it is missing. Rejects with ERR_DATA_LOCKED when another daemon has it. */
export async function lockData(directory: string): Promise<DirectoryLock> {
  try {
    await mkdirWithParents(resolve(directory))
    return lockDirectory(
      directory,
      why => new HoldfastError('ERR_DATA_LOCKED', `the data directory ${directory} is in use: ${why}`),
    )
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const message = `the data directory ${directory} cannot be used: ${systemReason(error)}`
    throw new HoldfastError('ERR_CONFIG_INVALID', message, { cause: error })
  }
}

/** Not mkdir's `recursive`, which tries for ever where a parent refuses with ENOENT, as /proc does. */
async function mkdirWithParents(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return
    if (code !== 'ENOENT' || dirname(directory) === directory) throw error
    await mkdirWithParents(dirname(directory))
    await mkdir(directory, { mode: 0o700 })
  }
}
