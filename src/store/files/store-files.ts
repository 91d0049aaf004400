import fs from 'node:fs'
import * as systemCalls from '../../lib/system-calls.ts'
import type { FileThread } from './file-task.ts'
import { startFileThread } from './file-thread.ts'

/**
 * Every file access of the store but LMDB's. Calls answer what they did or a negative errno (system-calls.ts),
 * so that the hot path neither throws nor allocates; tests put a faulty or a forgetful layer in its place.
 */
export interface StoreFiles {
  /** Opens for reading and writing, made when it is missing if `create`. Throws as fs.openSync does. */
  open(path: string, create: boolean): number
  close(fd: number): void
  sizeBytes(fd: number): number
  preadNow(fd: number, into: Buffer, at: number, lengthBytes: number, offsetBytes: number): number
  pread(fd: number, into: Buffer, at: number, lengthBytes: number, offsetBytes: number): number
  pwrite(fd: number, from: Buffer, at: number, lengthBytes: number, offsetBytes: number): number
  /** Whether the page cache has all of it; false when that cannot be told. */
  isCached(fd: number, offsetBytes: number, lengthBytes: number): boolean
  fallocate(fd: number, mode: number, offsetBytes: number, lengthBytes: number): number
  /** Makes the file longer; never shorter. */
  extend(fd: number, sizeBytes: number): number
  fdatasync(fd: number): number
  /** Reads on a thread; `done` gets the bytes read or a negative errno. */
  read(
    fd: number,
    into: Buffer,
    at: number,
    lengthBytes: number,
    offsetBytes: number,
    done: (result: number) => void,
  ): void
  /** Without work for `idleMsMax` it gives its memory back; without a limit it stays. */
  startThread(idleMsMax?: number): FileThread
}

export const realFiles: StoreFiles = {
  open: (path, create) =>
    fs.openSync(path, create ? fs.constants.O_RDWR | fs.constants.O_CREAT : fs.constants.O_RDWR, 0o600),
  close: fd => fs.closeSync(fd),
  sizeBytes: fd => fs.fstatSync(fd).size,
  preadNow: systemCalls.preadNow,
  pread: systemCalls.pread,
  pwrite: systemCalls.pwrite,
  isCached: systemCalls.isCached,
  fallocate: systemCalls.fallocate,
  extend(fd, sizeBytes) {
    try {
      if (fs.fstatSync(fd).size < sizeBytes) fs.ftruncateSync(fd, sizeBytes)
      return 0
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? -systemCalls.Errno.EIO
    }
  },
  fdatasync: systemCalls.fdatasync,
  read(fd, into, at, lengthBytes, offsetBytes, done) {
    fs.read(fd, into, at, lengthBytes, offsetBytes, (error, bytesRead) =>
      done(error === null ? bytesRead : (error.errno ?? -systemCalls.Errno.EIO)),
    )
  },
  startThread: startFileThread,
}
