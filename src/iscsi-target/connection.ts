import type net from 'node:net'
import { type ByteIntake, openAccepted } from '../net/accepted-socket.ts'
import type { BufferPool } from '../net/buffer-pool.ts'
import type { BusyPoll } from '../net/busy-poll.ts'
import type { Clock } from '../net/clock.ts'
import type { FaultCounters } from '../net/fault-counters.ts'
import type { FlushQueue } from '../net/flush-queue.ts'
import type { Logger } from '../net/logger.ts'
import type { SlabPool } from '../net/slab-output.ts'
import { hostAndPort } from '../net/socket-address.ts'
import { SocketOutlet } from '../net/socket-outlet.ts'
import { Turn, type TurnQueue, type TurnTaker } from '../net/turn.ts'
import type { ConnectionPhase, SessionLink } from './connection-phase.ts'
import { CLOSE_GRACE_MS } from './limits.ts'
import { type PayloadPlace, PduReceiver, type PduSink, type StreamFault } from './pdu-receiver.ts'
import { Transmitter } from './transmit-slab.ts'

/** What all connections of a target share. */
export interface ConnectionSurroundings {
  readonly receiveBuffer: Buffer
  readonly pool: BufferPool
  readonly slabs: SlabPool
  readonly flushQueue: FlushQueue
  readonly turns: TurnQueue
  readonly busyPoll: BusyPoll
  readonly clock: Clock
  readonly faults: FaultCounters
  readonly logger: Logger
  /** Receive by 'data' events although the private handle is there. */
  readonly receiveByEvents: boolean
}

/** The socket side of a connection: one pass per read, one write per pass, and who reads when. */
export class Connection implements PduSink, SessionLink, ByteIntake, TurnTaker {
  readonly output: Transmitter
  readonly receiver: PduReceiver
  readonly localAddress: string
  readonly remoteAddress: string
  heardAtMs: number
  readonly #surroundings: ConnectionSurroundings
  readonly #socket: net.Socket
  readonly #onClosed: (connection: Connection) => void
  readonly #turn: Turn
  #receivedBytes = 0
  #receivedPdus = 0
  #phase: ConnectionPhase | null = null
  #direct: Buffer | null = null
  #inPass = false
  #isQueued = false
  #isReading = true
  #isOpen = true
  #closeReason: string | null = null
  #closingSinceMs = 0
  readonly #outlet: SocketOutlet

  constructor(
    accepted: net.Socket,
    surroundings: ConnectionSurroundings,
    onClosed: (connection: Connection) => void,
  ) {
    this.#surroundings = surroundings
    this.#onClosed = onClosed
    this.#turn = new Turn(surroundings.turns, this)
    this.#outlet = new SocketOutlet(surroundings.clock, () => this.#outputTaken())
    this.output = new Transmitter(surroundings.slabs, this.#outlet)
    this.receiver = new PduReceiver(this, surroundings.pool)
    this.heardAtMs = surroundings.clock.nowMs()
    this.localAddress = hostAndPort(accepted.localAddress, accepted.localPort)
    this.remoteAddress = hostAndPort(accepted.remoteAddress, accepted.remotePort)
    accepted.setNoDelay(true)
    this.#socket = openAccepted(accepted, this, surroundings.receiveByEvents)
    this.#outlet.attach(this.#socket)
    this.#socket.on('error', (error: NodeJS.ErrnoException) => this.close(error.code ?? 'socketError'))
    this.#socket.on('end', () => this.close('endedByInitiator'))
    this.#socket.on('close', () => this.close('closed'))
  }

  get takenAtMs(): number {
    return this.#outlet.takenAtMs
  }

  get phase(): ConnectionPhase | null {
    return this.#phase
  }

  /** From now on PDUs go to `phase`. */
  enter(phase: ConnectionPhase): void {
    this.#phase = phase
    this.receiveAgain()
  }

  // ByteIntake.

  nextBuffer(): Buffer {
    // What waits in the receiver goes first: until then a direct target would be the wrong place.
    this.#direct = this.receiving ? this.receiver.directTarget() : null
    return this.#direct ?? this.#surroundings.receiveBuffer
  }

  received(lengthBytes: number, buffer: Buffer): boolean {
    if (!this.#isOpen) return false
    this.heardAtMs = this.#surroundings.clock.nowMs()
    this.#receivedBytes += lengthBytes
    this.#inPass = true
    if (buffer === this.#direct) this.receiver.receivedInPlace(lengthBytes)
    else this.receiver.receive(buffer, lengthBytes)
    this.#inPass = false
    this.flush()
    if (lengthBytes < buffer.length) this.#turn.passEnded()
    const { busyPoll } = this.#surroundings
    if (this.#isInitiatorsTurn) busyPoll.passEnded()
    else busyPoll.passLeftWaiting()
    this.#isReading = this.receiving
    return this.#isReading
  }

  // PduSink.

  get receiving(): boolean {
    if (!this.#isOpen || this.#closeReason !== null || this.#turn.isOver()) return false
    return this.#phase?.receiving === true
  }

  pduReceived(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): void {
    this.#receivedPdus++
    this.#phase!.pduReceived(pdu, at, data, dataAt, dataLength)
  }

  placePayload(pdu: Buffer, at: number, dataLength: number, place: PayloadPlace): boolean {
    return this.#phase!.placePayload(pdu, at, dataLength, place)
  }

  dataDigestFailed(pdu: Buffer, at: number): void {
    this.#phase!.dataDigestFailed(pdu, at)
  }

  streamFailed(fault: StreamFault): void {
    this.close(fault)
  }

  // TurnTaker.

  get movedBytes(): number {
    return this.#receivedBytes + this.output.gatheredBytes
  }

  get operations(): number {
    return this.#receivedPdus
  }

  turnBegins(): void {
    this.flush()
    this.receiveAgain()
  }

  // SessionLink.

  turnIsOver(): boolean {
    return this.#turn.isOver()
  }

  flushSoon(): void {
    if (this.#inPass || this.#isQueued || !this.#isOpen) return
    this.#isQueued = true
    this.#surroundings.flushQueue.add(this)
  }

  /** Hands everything gathered to the socket, and what becomes possible by that. */
  flush(): void {
    this.#isQueued = false
    if (!this.#isOpen) return
    do {
      this.output.flush()
      this.#phase?.flushed()
    } while (this.output.canFlush)
    if (this.#closeReason !== null && this.output.pendingBytes === 0) this.#socket.destroySoon()
  }

  receiveAgain(): void {
    if (this.#inPass || !this.receiving) return
    this.#inPass = true
    this.receiver.resume()
    this.#inPass = false
    this.flushSoon()
    if (this.#isReading || !this.receiving || this.receiver.hasBacklog) return
    this.#isReading = true
    this.#socket.resume()
  }

  close(reason: string): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { faults, logger } = this.#surroundings
    const why = this.#closeReason ?? reason
    faults.count(why)
    logger.debug({ remoteAddress: this.remoteAddress, reason: why }, 'connection closed')
    this.#socket.destroy()
    this.#outlet.close()
    this.receiver.close()
    this.output.close()
    this.#phase?.connectionClosed(why)
    this.#onClosed(this)
  }

  closeWhenSent(reason: string): void {
    if (this.#closeReason !== null) return
    this.#closeReason = reason
    this.#closingSinceMs = this.#surroundings.clock.nowMs()
    this.flushSoon()
  }

  /** Time limits. */
  tick(nowMs: number): void {
    if (this.#closeReason !== null && nowMs - this.#closingSinceMs >= CLOSE_GRACE_MS)
      this.close('closeTimeout')
    else this.#phase?.tick(nowMs)
  }

  /** All is said: what comes next is input, not room in the socket and not a disk's answer. */
  get #isInitiatorsTurn(): boolean {
    return this.output.pendingBytes === 0 && this.#phase?.isWaitingForDisk !== true
  }

  #outputTaken(): void {
    this.output.taken()
    this.#phase?.outputTaken()
    this.flush()
  }
}
