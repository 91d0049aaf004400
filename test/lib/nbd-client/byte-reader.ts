import type net from 'node:net'

/** Reads a socket by the byte count. */
export class ByteReader {
  #held = Buffer.alloc(0)
  #waiting: { lengthBytes: number; resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | null =
    null
  #ended = false

  constructor(socket: net.Socket) {
    this.follow(socket)
  }

  get heldBytes(): number {
    return this.#held.length
  }

  follow(socket: net.Socket): void {
    socket.on('data', chunk => {
      this.#held = Buffer.concat([this.#held, chunk])
      this.#serve()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#ended = true
      this.#serve()
    })
  }

  /** Rejects when the connection closes before so many bytes have come. */
  read(lengthBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { lengthBytes, resolve, reject }
      this.#serve()
    })
  }

  #serve(): void {
    const waiting = this.#waiting
    if (waiting === null) return
    if (this.#held.length >= waiting.lengthBytes) {
      this.#waiting = null
      const bytes = this.#held.subarray(0, waiting.lengthBytes)
      this.#held = this.#held.subarray(waiting.lengthBytes)
      waiting.resolve(bytes)
    } else if (this.#ended) {
      this.#waiting = null
      waiting.reject(new Error('the server closed the connection'))
    }
  }
}
