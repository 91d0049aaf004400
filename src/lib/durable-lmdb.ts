import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'

/** How every LMDB of ours is opened, apart from where it lies and what it holds. */
export const DURABLE_LMDB = {
  // A commit resolves only once it is on the disk.
  overlappingSync: false,
  // Otherwise lmdb rejects a promise that nobody has when a commit fails, which ends the process.
  eventTurnBatching: false,
} as const

/**
 * What `write` resolves with. LMDB never writes over what is referenced, so after a rejection everything is as
 * it was. Rejects with LMDB's own reason, which lmdb hides in a promise that would go unhandled: `code` is an
 * errno, and EIO may be a full disk that took a part of a write.
 */
export async function committed<T>(write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    await (error as { commitError?: Promise<never> }).commitError
    throw error
  }
}

/** lmdb.h of LMDB: MDB_MAGIC, at this place of each of the two meta pages that a database begins with. */
const MAGIC = 0xbeefc0de
const MAGIC_AT = [24, 4096 + 24] as const

/** Whether lmdb can be let at `directory`: it crashes the process over a file that does not begin as a database. */
export function mayBeLmdb(directory: string): boolean {
  let fd: number
  try {
    fd = openSync(join(directory, 'data.mdb'), 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
  try {
    const head = Buffer.alloc(2 * 4096)
    const length = readSync(fd, head, 0, head.length, 0)
    return length === 0 || (length === head.length && MAGIC_AT.every(at => head.readUInt32LE(at) === MAGIC))
  } finally {
    closeSync(fd)
  }
}
