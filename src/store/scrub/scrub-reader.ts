import { once } from 'node:events'
import { startWorker } from '../../lib/start-worker.ts'
import type { ScrubPiece } from './scrub-read.ts'

/** Reads for the scrubber, one piece at a time. */
export interface ScrubReader {
  /** The checksum entry of each block of a piece as the disk has it. Rejects when the disk does not give it. */
  read(piece: ScrubPiece): Promise<Uint32Array>
  close(): Promise<void>
}

/** A thread that reads past the page cache, so that neither the event loop nor libuv's pool waits for it. */
export function startScrubReader(): ScrubReader {
  const worker = startWorker('scrub-reader-worker', import.meta.url)
  return {
    async read(piece) {
      worker.postMessage(piece)
      const [answer] = (await once(worker, 'message')) as [Uint32Array | Error]
      if (answer instanceof Error) throw answer
      return answer
    },
    async close() {
      await worker.terminate()
    },
  }
}
