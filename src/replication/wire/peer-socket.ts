import type net from 'node:net'
import { TLSSocket } from 'node:tls'
import type { BufferPool } from '../../net/buffer-pool.ts'
import type { BusyPoll } from '../../net/busy-poll.ts'
import type { Clock } from '../../net/clock.ts'
import type { FlushQueue } from '../../net/flush-queue.ts'
import { SlabOutput, type SlabPool } from '../../net/slab-output.ts'
import { SocketOutlet } from '../../net/socket-outlet.ts'
import { sendUnpacedWithinMachine } from '../../net/unpaced.ts'

/** What all connections of a network share. */
export interface WireSurroundings {
  readonly receiveBuffer: Buffer
  readonly pool: BufferPool
  readonly slabs: SlabPool
  readonly flushQueue: FlushQueue
  readonly busyPoll: BusyPoll
  readonly clock: Clock
}

/** What is made of the bytes that come. */
export interface PeerSocketSink {
  /** The rest of a long payload, or null for the receive buffer. */
  directTarget(): Buffer | null
  receivedInPlace(lengthBytes: number): void
  receive(chunk: Buffer, lengthBytes: number): void
  /** False stops reading until receiveAgain(). */
  readonly receiving: boolean
  /** Once, whoever ended it; `reason` is a constant or an errno. */
  socketClosed(reason: string): void
}

/** One connected socket, plain or TLS: a pass per read, a write per pass. */
export class PeerSocket {
  readonly output: SlabOutput
  /** When bytes came last, on the clock of the surroundings. */
  heardAtMs: number
  receivedBytes = 0
  readonly #surroundings: WireSurroundings
  readonly #sink: PeerSocketSink
  #socket: net.Socket | null = null
  #direct: Buffer | null = null
  #inPass = false
  #isQueued = false
  #isReading = true
  #isOpen = true
  readonly #outlet: SocketOutlet

  constructor(sink: PeerSocketSink, surroundings: WireSurroundings) {
    this.#sink = sink
    this.#surroundings = surroundings
    this.#outlet = new SocketOutlet(surroundings.clock, () => this.output.taken())
    this.output = new SlabOutput(surroundings.slabs, this.#outlet)
    this.heardAtMs = surroundings.clock.nowMs()
  }

  get sentBytes(): number {
    return this.#outlet.sentBytes
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** The socket to write to, connected or about to be. With `byEvents` its 'data' events are taken as well. */
  attach(socket: net.Socket, byEvents: boolean): void {
    this.#socket = socket
    this.#outlet.attach(socket)
    socket.setNoDelay(true)
    if (socket.connecting) socket.once('connect', () => sendUnpacedWithinMachine(socket))
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(error.code ?? 'socketError'))
    socket.on('end', () => this.close('endedByPeer'))
    socket.on('close', () => this.close('closed'))
    if (!byEvents) return
    socket.on('data', (chunk: Buffer) => {
      if (!this.received(chunk.length, chunk)) socket.pause()
    })
    socket.resume()
  }

  // ByteIntake.

  nextBuffer(): Buffer {
    this.#direct = this.#isOpen ? this.#sink.directTarget() : null
    return this.#direct ?? this.#surroundings.receiveBuffer
  }

  received(lengthBytes: number, buffer: Buffer): boolean {
    if (!this.#isOpen) return false
    this.heardAtMs = this.#surroundings.clock.nowMs()
    this.receivedBytes += lengthBytes
    this.#inPass = true
    if (buffer === this.#direct) this.#sink.receivedInPlace(lengthBytes)
    else this.#sink.receive(buffer, lengthBytes)
    this.#inPass = false
    this.flush()
    this.#surroundings.busyPoll.passEnded()
    this.#isReading = this.#isOpen && this.#sink.receiving
    return this.#isReading
  }

  /** The sink receives again. */
  receiveAgain(): void {
    if (this.#isReading || this.#inPass || !this.#isOpen) return
    this.#isReading = true
    this.#socket?.resume()
  }

  /** Something was put into the output: it leaves when the present pass or tick ends. */
  flushSoon(): void {
    if (this.#inPass || this.#isQueued || !this.#isOpen) return
    this.#isQueued = true
    this.#surroundings.flushQueue.add(this)
  }

  flush(): void {
    this.#isQueued = false
    if (this.#isOpen) this.output.flush()
  }

  /** Destroys the socket at once; nothing is sent or handed over any more. */
  close(reason: string): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#destroy()
    this.#outlet.close()
    this.output.close()
    this.#sink.socketClosed(reason)
  }

  /** As close(), after what was written has left. */
  closeWhenSent(reason: string): void {
    if (!this.#isOpen) return
    this.output.flush()
    this.#isOpen = false
    this.#outlet.close()
    this.#socket?.destroySoon()
    this.#sink.socketClosed(reason)
  }

  #destroy(): void {
    const socket = this.#socket
    if (socket === null) return
    // With a reset the kernel does not go on sending what waits in its buffers; TLS has no such thing.
    if (socket.connecting || socket instanceof TLSSocket) socket.destroy()
    else socket.resetAndDestroy()
  }
}
