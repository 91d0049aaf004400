import { once } from 'node:events'
import net from 'node:net'

/** A listening address. Accepted sockets are paused: whoever gets one decides how it receives. */
export class Portal {
  /** Place in the list of listeners. */
  readonly listener: number
  readonly #server: net.Server

  constructor(listener: number, accepted: (socket: net.Socket, portal: Portal) => void) {
    this.listener = listener
    this.#server = net.createServer({ pauseOnConnect: true, noDelay: true }, socket => accepted(socket, this))
  }

  /** `ip:port`, `[ip6]:port` or the path that is listened on; empty when it is not. */
  get address(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return address ?? ''
    return address.family === 'IPv6'
      ? `[${address.address}]:${address.port}`
      : `${address.address}:${address.port}`
  }

  /** Rejects with the system's error when the address cannot be had. Port 0 takes a free one. */
  async listen(host: string, port: number): Promise<void> {
    this.#server.listen({ host, port })
    await once(this.#server, 'listening')
  }

  /** A Unix socket; its file goes with close(). Rejects with the system's error. */
  async listenUnix(path: string): Promise<void> {
    this.#server.listen({ path })
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#server.close()
  }
}
