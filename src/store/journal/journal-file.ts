import { errnoName } from '../../lib/system-calls.ts'
import type { StoreFiles } from '../files/store-files.ts'
import type { JournalFile } from './journal.ts'

/** A journal's file through the store's file layer. `sync` answers 0 or a negative errno, as a file thread does. */
export function storeJournalFile(
  files: StoreFiles,
  fd: number,
  path: string,
  sync: () => Promise<number>,
): JournalFile {
  return {
    path,
    read(into, atBytes) {
      const result = files.pread(fd, into, 0, into.length, atBytes)
      if (result < 0) throw failed('read', path, result)
      into.fill(0, result)
    },
    write(from, lengthBytes, atBytes) {
      const result = files.pwrite(fd, from, 0, lengthBytes, atBytes)
      if (result < 0) throw failed('write', path, result)
    },
    async sync() {
      const result = await sync()
      if (result < 0) throw failed('fdatasync', path, result)
    },
  }
}

function failed(call: string, path: string, result: number): Error {
  return new Error(`${call} of ${path} failed: ${errnoName(result)}`)
}
