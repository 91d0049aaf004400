import type net from 'node:net'
import type { Clock } from './clock.ts'
import type { ByteOutlet } from './slab-output.ts'

/** A socket's write side: knows which writes the socket took at once, and tells when it has taken one that it kept. */
export class SocketOutlet implements ByteOutlet {
  sentBytes = 0
  /** When the socket last kept a write, or took one that it had kept. */
  takenAtMs: number
  readonly #clock: Clock
  readonly #taken: () => void
  readonly #written = () => this.#writeEnded()
  #socket: net.Socket | null = null
  /** Writes that the socket took at once; their callbacks are still to come. */
  #takenEarly = 0

  /** `taken` is called when the socket has taken a write that it kept. */
  constructor(clock: Clock, taken: () => void) {
    this.#clock = clock
    this.#taken = taken
    this.takenAtMs = clock.nowMs()
  }

  /** Writes go to `socket` from now on; the one before has nothing to take any more. */
  attach(socket: net.Socket): void {
    this.#socket = socket
    this.#takenEarly = 0
  }

  /** From now on what is written is dropped, and nothing is told. */
  close(): void {
    this.#socket = null
  }

  write(bytes: Buffer, behind: Buffer | null): boolean {
    const socket = this.#socket
    if (socket === null) return true
    this.sentBytes += bytes.length
    if (behind === null) socket.write(bytes, this.#written)
    else this.#writeBoth(socket, bytes, behind)
    if (socket.writableLength > 0) {
      this.takenAtMs = this.#clock.nowMs()
      return false
    }
    this.#takenEarly++
    return true
  }

  #writeBoth(socket: net.Socket, bytes: Buffer, behind: Buffer): void {
    this.sentBytes += behind.length
    socket.cork()
    socket.write(bytes)
    socket.write(behind, this.#written)
    socket.uncork()
  }

  #writeEnded(): void {
    if (this.#takenEarly > 0) {
      this.#takenEarly--
      return
    }
    if (this.#socket === null) return
    this.takenAtMs = this.#clock.nowMs()
    this.#taken()
  }
}
