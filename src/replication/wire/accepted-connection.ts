import type net from 'node:net'
import { openAccepted } from '../../net/accepted-socket.ts'
import {
  NO_PAYLOAD,
  type PeerAnswer,
  type PeerIdentity,
  type PeerRequestHandler,
  PeerRequestKind,
  type PeerStatus,
} from '../peer-network.ts'
import { type FrameFault, type FrameHeader, FrameType } from './frame.ts'
import { ContentIn, FrameReader, type FrameSink } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { encodeHello, type Hello, type HelloRefusal } from './hello.ts'
import { HelloIntake } from './hello-intake.ts'
import { decodeBody, encodeBody } from './json-body.ts'
import {
  DIRECT_BYTES_MIN,
  type PeerWireLimits,
  VOLUME_NAME_BYTES_MAX,
  VOLUMES_PER_CONNECTION_MAX,
} from './limits.ts'
import { PeerSocket, type PeerSocketSink, type WireSurroundings } from './peer-socket.ts'
import { type RequestOrigin, WireRequest } from './wire-request.ts'

export interface AcceptedConnectionOptions {
  readonly surroundings: WireSurroundings
  readonly limits: PeerWireLimits
  readonly handler: () => PeerRequestHandler
  readonly receiveByEvents: boolean
  /** A hello came; answerHello() or refuse() follows. */
  readonly helloReceived: (connection: AcceptedConnection, hello: Hello) => void
  readonly closed: (connection: AcceptedConnection, reason: string) => void
}

const KINDS = Object.keys(PeerRequestKind).length
const VOLUME_NAME = /^[\x21-\x7e]+$/
const IDLE_REQUESTS_MAX = 1024

/** One connection by which another daemon sends its requests: the answering side. */
export class AcceptedConnection implements PeerSocketSink, FrameSink, RequestOrigin {
  readonly openedAtMs: number
  readonly targetAt = 0
  readonly #options: AcceptedConnectionOptions
  readonly #socket: PeerSocket
  readonly #reader: FrameReader
  readonly #writer: FrameWriter
  readonly #helloIntake = new HelloIntake()
  #hello: Hello | null = null
  #isServing = false
  /** By the number that the other side gave it; '' stands for no volume. */
  readonly #volumes: string[] = ['']
  readonly #idle: WireRequest[] = []
  #requestsOpen = 0
  #heldBytes = 0
  /** Of the request that is being handed over: its content, and whether somebody keeps it. */
  #content: Buffer = NO_PAYLOAD
  #contentIsPooled = false
  #contentIsKept = false

  constructor(accepted: net.Socket, isTls: boolean, options: AcceptedConnectionOptions) {
    const { surroundings } = options
    this.#options = options
    this.openedAtMs = surroundings.clock.nowMs()
    this.#socket = new PeerSocket(this, surroundings)
    this.#reader = new FrameReader(this, surroundings.pool)
    this.#writer = new FrameWriter(this.#socket.output)
    const receivesEvents = isTls || options.receiveByEvents
    const socket = receivesEvents ? accepted : openAccepted(accepted, this.#socket, false)
    this.#socket.attach(socket, receivesEvents)
  }

  get from(): PeerIdentity {
    return this.#hello!.identity
  }

  get connection(): number {
    return this.#hello!.connection
  }

  get isOpen(): boolean {
    return this.#socket.isOpen
  }

  /** The hello was answered: requests are handed over. */
  get isServing(): boolean {
    return this.#isServing
  }

  get heardAtMs(): number {
    return this.#socket.heardAtMs
  }

  get receivedBytes(): number {
    return this.#socket.receivedBytes
  }

  get sentBytes(): number {
    return this.#socket.sentBytes
  }

  answerHello(answer: Hello): void {
    this.#isServing = true
    this.#send(encodeHello(answer))
    this.#socket.flush()
  }

  refuse(refusal: HelloRefusal, reason: string): void {
    if (!this.isOpen) return
    this.#send(encodeHello(refusal))
    this.#socket.closeWhenSent(reason)
  }

  close(reason: string): void {
    this.#socket.close(reason)
  }

  /** This process stood still for so long: that says nothing of the other side. */
  excuseSilence(ms: number): void {
    this.#socket.heardAtMs += ms
  }

  // PeerSocketSink.

  get receiving(): boolean {
    const { bytesHeldMax, requestsInFlightMax } = this.#options.limits
    return this.#heldBytes < bytesHeldMax && this.#requestsOpen < requestsInFlightMax
  }

  directTarget(): Buffer | null {
    return this.#reader.directTarget()
  }

  receivedInPlace(lengthBytes: number): void {
    this.#reader.receivedInPlace(lengthBytes)
  }

  receive(chunk: Buffer, lengthBytes: number): void {
    if (this.#isServing) this.#reader.receive(chunk, lengthBytes)
    else this.#takeHello(chunk, lengthBytes)
  }

  socketClosed(reason: string): void {
    this.#reader.close()
    this.#options.closed(this, reason)
  }

  // FrameSink.

  payloadTarget(): null {
    return null
  }

  frameReceived(header: FrameHeader, content: Buffer, at: number, where: ContentIn): FrameFault | null {
    if (header.type === FrameType.request) return this.#requestReceived(header, content, at, where)
    let fault: FrameFault | null = 'unexpectedFrame'
    if (header.type === FrameType.volumeName) fault = this.#nameVolume(header, content, at)
    else if (header.type === FrameType.ping) {
      this.#writer.ping(FrameType.pong, header.value)
      fault = null
    }
    if (where === ContentIn.pooled) this.#options.surroundings.pool.give(content)
    return fault
  }

  streamFailed(fault: FrameFault): void {
    this.close(fault)
  }

  // RequestOrigin.

  takeBuffer(lengthBytes: number): Buffer {
    const buffer = this.#options.surroundings.pool.take(lengthBytes)
    this.#heldBytes += buffer.length
    return buffer
  }

  keepPayload(request: WireRequest): Buffer {
    if (this.#contentIsPooled) {
      this.#contentIsKept = true
      this.#heldBytes += this.#content.length
      return this.#content
    }
    const buffer = this.takeBuffer(request.payloadLengthBytes)
    request.payload.copy(buffer, 0, request.payloadAt, request.payloadAt + request.payloadLengthBytes)
    request.payload = buffer
    request.payloadAt = 0
    return buffer
  }

  answer(request: WireRequest, status: PeerStatus, answer: PeerAnswer | undefined): void {
    const { reserved, kept } = request
    const body = encodeBody(answer?.body ?? null)
    this.#heldBytes -= (reserved?.length ?? 0) + (kept?.length ?? 0)
    let isReservedGiven = false
    if (this.isOpen) {
      isReservedGiven = this.#writeReply(request.id, status, answer, body, reserved)
      this.#socket.flushSoon()
    }
    const { pool } = this.#options.surroundings
    if (reserved !== null && !isReservedGiven) pool.give(reserved)
    if (kept !== null) pool.give(kept)
    this.#recycle(request)
    this.#socket.receiveAgain()
  }

  /** True when the reserved buffer has been given up with the reply. */
  #writeReply(
    id: number,
    status: PeerStatus,
    answer: PeerAnswer | undefined,
    body: Buffer,
    reserved: Buffer | null,
  ): boolean {
    const { pool } = this.#options.surroundings
    const failedAtBytes = answer?.failedAtBytes ?? 0
    const data = answer?.data ?? NO_PAYLOAD
    const dataAt = answer?.dataAt ?? 0
    const dataBytes = data === NO_PAYLOAD ? 0 : (answer?.dataLengthBytes ?? data.length - dataAt)
    const isReserved = data === reserved
    if (body.length + dataBytes < DIRECT_BYTES_MIN) {
      this.#writer.reply(id, status, failedAtBytes, body, data, dataAt, dataBytes, isReserved ? pool : null)
      return isReserved
    }
    let owned = data
    if (!isReserved || dataAt !== 0) {
      owned = pool.take(dataBytes)
      data.copy(owned, 0, dataAt, dataAt + dataBytes)
    }
    this.#writer.reply(id, status, failedAtBytes, body, owned, 0, dataBytes, pool)
    return owned === reserved
  }

  #takeHello(chunk: Buffer, lengthBytes: number): void {
    if (this.#hello !== null) return this.close('unexpectedFrame')
    const decoded = this.#helloIntake.take(chunk, lengthBytes)
    if (decoded.is === 'incomplete') return
    if (decoded.is === 'fault') return this.close(decoded.fault)
    if (decoded.is === 'refusal') return this.close('badHello')
    this.#hello = decoded.hello
    this.#options.helloReceived(this, decoded.hello)
  }

  #requestReceived(header: FrameHeader, content: Buffer, at: number, where: ContentIn): FrameFault | null {
    const { pool } = this.#options.surroundings
    this.#content = content
    this.#contentIsPooled = where === ContentIn.pooled
    this.#contentIsKept = false
    const fault = this.#handOver(header, content, at)
    if (this.#contentIsPooled && !this.#contentIsKept) pool.give(content)
    this.#content = NO_PAYLOAD
    return fault
  }

  #handOver(header: FrameHeader, content: Buffer, at: number): FrameFault | null {
    if (header.code >= KINDS) return 'unknownKind'
    const volume = this.#volumes[header.volume]
    if (volume === undefined) return 'unknownVolumeNumber'
    const body = decodeBody(content, at, header.bodyBytes)
    if (body === undefined) return 'badBody'
    const request = this.#idle.pop() ?? new WireRequest(this)
    request.open(header, volume, body)
    request.payload = content
    request.payloadAt = at + header.bodyBytes
    request.blockChecksums = this.#reader.blockChecksums
    this.#requestsOpen++
    this.#options.handler().received(request)
    return null
  }

  #nameVolume(header: FrameHeader, content: Buffer, at: number): FrameFault | null {
    const isNext = header.id === this.#volumes.length && header.id <= VOLUMES_PER_CONNECTION_MAX
    if (!isNext || header.bodyBytes > VOLUME_NAME_BYTES_MAX) return 'badVolumeName'
    const name = content.toString('latin1', at, at + header.bodyBytes)
    if (!VOLUME_NAME.test(name)) return 'badVolumeName'
    this.#volumes.push(name)
    return null
  }

  #recycle(request: WireRequest): void {
    request.kept = request.reserved = null
    request.body = null
    request.payload = NO_PAYLOAD
    this.#requestsOpen--
    if (this.#idle.length < IDLE_REQUESTS_MAX) this.#idle.push(request)
  }

  #send(bytes: Buffer): void {
    const { output } = this.#socket
    const at = output.reserve(bytes.length)
    output.commit(at + bytes.copy(output.slab, at))
  }
}
