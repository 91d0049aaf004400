import fs from 'node:fs'
import { crc32c } from '../../lib/crc32c.ts'
import { addressOf } from '../../lib/native.ts'
import { dropFromPageCache, nativeCalls } from '../../lib/system-calls.ts'
import { BLOCK_BYTES, entryOf } from '../layout.ts'

/** Longest single read of the scrubber; bounds its buffer. */
export const SCRUB_READ_BYTES_MAX = 1024 * 1024

/** What direct I/O asks of a buffer's address, on any disk. */
const ALIGNMENT_BYTES = 4096
const { O_RDONLY, O_DIRECT } = fs.constants

export interface ScrubPiece {
  readonly path: string
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/**
 * Reads data files from the disk itself: direct I/O, or, where the file system has none, after telling the
 * kernel to drop what it caches of the piece. Waits for the disk, so it lives on a thread of its own.
 */
export class DirectReader {
  #buffer = alignedBuffer(SCRUB_READ_BYTES_MAX)
  #files = new Map<string, { readonly fd: number; readonly direct: boolean }>()

  /** The checksum entry of each block of a piece; throws the error of the read, or when it comes short. */
  entries({ path, offsetBytes, lengthBytes }: ScrubPiece): Uint32Array {
    const { fd, direct } = this.#open(path)
    if (!direct) dropFromPageCache(fd, offsetBytes, lengthBytes)
    const got = fs.readSync(fd, this.#buffer, 0, lengthBytes, offsetBytes)
    if (got !== lengthBytes) throw new Error(`${path} ends before ${offsetBytes + lengthBytes}`)
    const entries = new Uint32Array(lengthBytes / BLOCK_BYTES)
    for (let block = 0; block < entries.length; block++) {
      entries[block] = entryOf(crc32c(this.#buffer, block * BLOCK_BYTES, BLOCK_BYTES))
    }
    return entries
  }

  close(): void {
    for (const { fd } of this.#files.values()) fs.closeSync(fd)
    this.#files.clear()
  }

  #open(path: string): { fd: number; direct: boolean } {
    let file = this.#files.get(path)
    if (file === undefined) {
      file = openDirect(path) ?? { fd: fs.openSync(path, O_RDONLY), direct: false }
      this.#files.set(path, file)
    }
    return file
  }
}

function openDirect(path: string): { fd: number; direct: true } | null {
  if (!nativeCalls) return null
  try {
    return { fd: fs.openSync(path, O_RDONLY | O_DIRECT), direct: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return null
    throw error
  }
}

function alignedBuffer(lengthBytes: number): Buffer {
  const roomy = Buffer.allocUnsafeSlow(lengthBytes + ALIGNMENT_BYTES)
  const past = nativeCalls ? addressOf(roomy) % ALIGNMENT_BYTES : 0
  const at = past === 0 ? 0 : ALIGNMENT_BYTES - past
  return roomy.subarray(at, at + lengthBytes)
}
