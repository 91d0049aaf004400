import { type DecodedHello, decodeHello, HELLO_BYTES_MAX } from './hello.ts'

const INCOMPLETE: DecodedHello = { is: 'incomplete' }

/** Gathers a hello from the reads that it comes in. */
export class HelloIntake {
  #bytes: Buffer = Buffer.alloc(0)

  /** Nothing may follow a hello before it is answered: more than it is a fault. */
  take(chunk: Buffer, lengthBytes: number): DecodedHello {
    const room = HELLO_BYTES_MAX + 1 - this.#bytes.length
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, Math.min(lengthBytes, room))])
    const decoded = decodeHello(this.#bytes)
    if (decoded.is === 'fault') return decoded
    if (decoded.is === 'incomplete') return INCOMPLETE
    return decoded.endAt === this.#bytes.length ? decoded : { is: 'fault', fault: 'badHello' }
  }
}
