import { parentPort } from 'node:worker_threads'
import { invariant } from '../../lib/invariant.ts'
import { DirectReader, type ScrubPiece } from './scrub-read.ts'

const port = parentPort
invariant(port !== null, 'the scrubber reads in a worker')
const reader = new DirectReader()
port.on('message', (piece: ScrubPiece) => {
  try {
    port.postMessage(reader.entries(piece))
  } catch (error) {
    port.postMessage(error instanceof Error ? error : new Error(String(error)))
  }
})
