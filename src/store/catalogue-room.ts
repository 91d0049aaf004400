import path from 'node:path'
import { FALLOC_KEEP_SIZE } from '../lib/system-calls.ts'
import type { StoreFiles } from './files/store-files.ts'

/** LMDB writes new pages before it frees old ones; a fence or a set change needs a handful. */
const ROOM_BYTES = 1024 * 1024

/**
 * Space behind the end of the catalogue's file, so that epochs and sets can be recorded while the disk is full. As much
 * as there is now: a disk that is full already has what an earlier open has put aside.
 */
export function keepCatalogueRoom(files: StoreFiles, directory: string): void {
  const fd = files.open(path.join(directory, 'meta', 'data.mdb'), false)
  try {
    files.fallocate(fd, FALLOC_KEEP_SIZE, files.sizeBytes(fd), ROOM_BYTES)
  } finally {
    files.close(fd)
  }
}
