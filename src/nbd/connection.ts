import type net from 'node:net'
import type { PassTimer } from '../lib/pass-timer.ts'
import { type ByteIntake, openAccepted } from '../net/accepted-socket.ts'
import type { BufferPool } from '../net/buffer-pool.ts'
import type { BusyPoll } from '../net/busy-poll.ts'
import type { Clock } from '../net/clock.ts'
import type { FaultCounters } from '../net/fault-counters.ts'
import type { FlushQueue } from '../net/flush-queue.ts'
import type { Logger } from '../net/logger.ts'
import { SlabOutput, type SlabPool } from '../net/slab-output.ts'
import { hostAndPort } from '../net/socket-address.ts'
import { SocketOutlet } from '../net/socket-outlet.ts'
import { Turn, type TurnQueue, type TurnTaker } from '../net/turn.ts'
import type { ExportDirectory, NbdClient } from './export-directory.ts'
import { type Agreement, Handshake, type TlsMode } from './handshake/handshake.ts'
import { CLOSE_GRACE_MS, HANDSHAKE_OUTPUT_BYTES_MAX, type NbdLimits } from './limits.ts'
import { type TlsMaterial, upgradeToTls } from './tls/tls-upgrade.ts'
import { Transmission } from './transmission/transmission.ts'

/** What all connections of a server share. */
export interface NbdSurroundings {
  readonly directory: ExportDirectory
  readonly limits: NbdLimits
  readonly receiveBuffer: Buffer
  /** Its beginning. */
  readonly shortReceiveBuffer: Buffer
  readonly pool: BufferPool
  readonly slabs: SlabPool
  readonly flushQueue: FlushQueue
  readonly turns: TurnQueue
  readonly busyPoll: BusyPoll
  readonly timer: PassTimer
  readonly clock: Clock
  readonly faults: FaultCounters
  readonly logger: Logger
  /** Receive by 'data' events although the private handle is there. */
  readonly receiveByEvents: boolean
  readonly stopping: () => boolean
}

/** How the listener that accepted a connection treats TLS. */
export interface ListenerTls {
  readonly mode: TlsMode
  readonly material: TlsMaterial | null
}

const NOTHING = Buffer.alloc(0)

/** The socket side of a connection: one pass per read, one write per pass, first handshake, then transmission. */
export class NbdConnection implements ByteIntake, TurnTaker {
  readonly id: number
  readonly output: SlabOutput
  readonly connectedAt = new Date()
  readonly portal: string
  transmission: Transmission | null = null
  client: NbdClient
  /** From close() on: resolves when the volume has been let go of. */
  released: Promise<void> = Promise.resolve()
  readonly #surroundings: NbdSurroundings
  readonly #tls: ListenerTls
  readonly #handshake: Handshake
  readonly #onClosed: (connection: NbdConnection) => void
  readonly #openedAtMs: number
  readonly #turn: Turn
  #receivedBytes = 0
  #socket: net.Socket
  /** Of the handshake: the beginning of a message whose rest has not come. */
  #unread: Buffer = NOTHING
  #direct: Buffer | null = null
  #inPass = false
  #isQueued = false
  #isReading = true
  #isOpen = true
  #upgrading = false
  #closeReason: string | null = null
  #closingSinceMs = 0
  readonly #outlet: SocketOutlet

  constructor(
    id: number,
    accepted: net.Socket,
    portal: string,
    tls: ListenerTls,
    surroundings: NbdSurroundings,
    onClosed: (connection: NbdConnection) => void,
  ) {
    this.id = id
    this.#surroundings = surroundings
    this.#tls = tls
    this.#onClosed = onClosed
    this.#openedAtMs = surroundings.clock.nowMs()
    this.#turn = new Turn(surroundings.turns, this)
    this.#outlet = new SocketOutlet(surroundings.clock, () => this.#outputTaken())
    this.output = new SlabOutput(surroundings.slabs, this.#outlet)
    const { localAddress, localPort, remoteAddress, remotePort } = accepted
    // A Unix socket has no addresses: both ends are called by its path.
    this.portal = localAddress === undefined ? portal : hostAndPort(localAddress, localPort)
    const remote = remoteAddress === undefined ? portal : hostAndPort(remoteAddress, remotePort)
    this.client = { tls: false, identity: null, remoteAddress: remote }
    const { directory, stopping } = surroundings
    this.#handshake = new Handshake({ directory, tlsMode: tls.mode, client: this.client, stopping })
    accepted.setNoDelay(true)
    this.#socket = openAccepted(accepted, this, surroundings.receiveByEvents)
    this.#outlet.attach(this.#socket)
    this.#listenTo(this.#socket)
    this.#sendHandshake()
    this.flush()
  }

  // ByteIntake.

  nextBuffer(): Buffer {
    const reader = this.transmission?.reader
    this.#direct = reader?.directTarget() ?? null
    if (this.#direct !== null) return this.#direct
    const { receiveBuffer, shortReceiveBuffer } = this.#surroundings
    return reader?.expectsLongPayload === true ? shortReceiveBuffer : receiveBuffer
  }

  received(lengthBytes: number, buffer: Buffer): boolean {
    if (!this.#isOpen) return false
    this.#receivedBytes += lengthBytes
    this.#inPass = true
    if (this.transmission === null) this.#handshakeReceived(buffer.subarray(0, lengthBytes))
    else if (buffer === this.#direct) this.transmission.reader.receivedInPlace(lengthBytes)
    else this.transmission.reader.receive(buffer, lengthBytes)
    this.#inPass = false
    this.flush()
    if (lengthBytes < buffer.length) this.#turn.passEnded()
    const { busyPoll } = this.#surroundings
    if (this.#isClientsTurn) busyPoll.passEnded()
    else busyPoll.passLeftWaiting()
    this.#isReading = this.#receiving && this.transmission?.reader.hasBacklog !== true
    // What was sent may have made room for requests that are here already.
    if (!this.#isReading) this.receiveAgain()
    return this.#isReading
  }

  // TurnTaker.

  /** Holes are read and looked through, though hardly anything is sent for them. */
  get movedBytes(): number {
    return this.#receivedBytes + (this.transmission?.stats.readBytes ?? 0)
  }

  get operations(): number {
    const stats = this.transmission?.stats
    return stats === undefined ? 0 : stats.reads + stats.writes + stats.others
  }

  turnBegins(): void {
    this.receiveAgain()
  }

  // TransmissionLink.

  turnIsOver(): boolean {
    return this.#turn.isOver()
  }

  flushSoon(): void {
    if (this.#inPass || this.#isQueued || !this.#isOpen) return
    this.#isQueued = true
    this.#surroundings.flushQueue.add(this)
  }

  receiveAgain(): void {
    if (this.#inPass || !this.#receiving) return
    const reader = this.transmission?.reader
    if (reader?.hasBacklog === true) {
      this.#inPass = true
      reader.resume()
      this.#inPass = false
      this.flushSoon()
    }
    if (this.#isReading || !this.#receiving || reader?.hasBacklog === true) return
    this.#isReading = true
    this.#socket.resume()
  }

  close(reason: string): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { faults, logger } = this.#surroundings
    const why = this.#closeReason ?? reason
    faults.count(why)
    logger.debug({ remoteAddress: this.client.remoteAddress, reason: why }, 'connection closed')
    this.#socket.destroy()
    this.#outlet.close()
    this.output.close()
    if (this.transmission !== null) this.released = this.transmission.close()
    this.#onClosed(this)
  }

  closeWhenSent(reason: string): void {
    if (this.#closeReason !== null || !this.#isOpen) return
    this.#closeReason = reason
    this.#closingSinceMs = this.#surroundings.clock.nowMs()
    this.flushSoon()
  }

  /** Hands everything gathered to the socket, and what becomes possible by that. */
  flush(): void {
    this.#isQueued = false
    if (!this.#isOpen) return
    this.output.flush()
    if (!this.#isReading) this.receiveAgain()
    if (this.output.pendingBytes > 0) return
    if (this.#closeReason !== null) this.#socket.destroySoon()
    else if (this.#handshake.outcome?.kind === 'startTls') this.#startTls()
  }

  /** No new requests from now on; true when there is nothing to wait for. */
  stop(): boolean {
    if (this.transmission === null) return true
    this.transmission.stopping = true
    return this.transmission.requestsInFlight === 0 && this.output.pendingBytes === 0
  }

  /** Time limits. */
  tick(nowMs: number): void {
    const { limits } = this.#surroundings
    if (this.#closeReason !== null) {
      if (nowMs - this.#closingSinceMs >= CLOSE_GRACE_MS) this.close('closeTimeout')
    } else if (this.transmission === null) {
      if (nowMs - this.#openedAtMs >= limits.handshakeTimeoutMs) this.close('handshakeTimeout')
    } else if (this.output.pendingBytes > 0 && nowMs - this.#outlet.takenAtMs >= limits.outputStallMs) {
      this.close('outputNotTaken')
    }
  }

  get #receiving(): boolean {
    if (!this.#isOpen || this.#closeReason !== null || this.#upgrading) return false
    if (this.transmission !== null) return this.transmission.receiving
    return this.#handshake.outcome === null && this.output.pendingBytes < HANDSHAKE_OUTPUT_BYTES_MAX
  }

  /** All is said: what comes next is input, not room in the socket and not a disk's answer. */
  get #isClientsTurn(): boolean {
    return this.output.pendingBytes === 0 && this.transmission?.awaitsDisk !== true
  }

  #handshakeReceived(bytes: Buffer): void {
    const input = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    const handshake = this.#handshake
    const taken = handshake.receive(input)
    const rest = input.subarray(taken)
    this.#sendHandshake()
    const { outcome } = handshake
    if (outcome === null) {
      this.#unread = Buffer.from(rest)
      return
    }
    this.#unread = NOTHING
    if (outcome.kind === 'end') return this.closeWhenSent(outcome.reason)
    if (outcome.kind === 'transmit') return this.#transmit(outcome.agreement, rest)
    // Whatever came before TLS is up was not protected by it: it must not be taken for something that was.
    if (rest.length > 0) this.close('bytesBeforeTls')
  }

  #sendHandshake(): void {
    for (const message of this.#handshake.takeOutput()) {
      const at = this.output.reserve(message.length)
      this.output.commit(at + message.copy(this.output.slab, at))
    }
  }

  #transmit(agreement: Agreement, rest: Buffer): void {
    const { pool, timer, limits } = this.#surroundings
    const name = this.client.identity ?? this.client.remoteAddress
    const device = agreement.export.volume.open({ protocol: 'nbd', name })
    this.transmission = new Transmission({ link: this, agreement, device, pool, timer, limits })
    if (rest.length > 0) this.transmission.reader.receive(rest, rest.length)
  }

  #startTls(): void {
    if (this.#upgrading) return
    this.#upgrading = true
    // After this pass: until then the socket is still being read from.
    setImmediate(() => void this.#upgrade())
  }

  async #upgrade(): Promise<void> {
    const plain = this.#socket
    try {
      const { socket, identity } = await upgradeToTls(plain, this.#tls.material!)
      if (!this.#isOpen) return void socket.destroy()
      this.#secured(socket, identity)
    } catch (error) {
      this.#surroundings.logger.debug({ err: error }, 'TLS handshake failed')
      this.close('tlsFailed')
    }
  }

  #secured(socket: net.Socket, identity: string | null): void {
    this.#socket = socket
    this.#outlet.attach(socket)
    this.client = { tls: true, identity, remoteAddress: this.client.remoteAddress }
    this.#handshake.secured(this.client)
    this.#upgrading = false
    this.#isReading = true
    this.#listenTo(socket)
    socket.on('data', (chunk: Buffer) => {
      if (!this.received(chunk.length, chunk)) socket.pause()
    })
  }

  #listenTo(socket: net.Socket): void {
    socket.setKeepAlive(true, this.#surroundings.limits.outputStallMs)
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(error.code ?? 'socketError'))
    socket.on('end', () => this.close('endedByClient'))
    socket.on('close', () => this.close('closed'))
  }

  #outputTaken(): void {
    this.output.taken()
    this.flush()
    this.receiveAgain()
  }
}
