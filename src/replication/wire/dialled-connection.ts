import net from 'node:net'
import tls from 'node:tls'
import type { ByteIntake } from '../../net/accepted-socket.ts'
import { NO_PAYLOAD, type PeerIdentity, type PeerRequest, PeerRequestKind } from '../peer-network.ts'
import { type FrameFault, type FrameHeader, FrameType, REQUEST_HEADER_BYTES } from './frame.ts'
import { ContentIn, FrameReader, type FrameSink } from './frame-reader.ts'
import { FrameWriter } from './frame-writer.ts'
import { type DecodedHello, encodeHello, type Hello } from './hello.ts'
import { HelloIntake } from './hello-intake.ts'
import { decodeBody, encodeBody } from './json-body.ts'
import { type PeerWireLimits, VOLUMES_PER_CONNECTION_MAX } from './limits.ts'
import type { LostRequests } from './lost-requests.ts'
import { PeerSocket, type PeerSocketSink, type WireSurroundings } from './peer-socket.ts'
import { certificateName, type PeerTls } from './peer-tls.ts'
import { RequestTable } from './request-table.ts'

export interface PeerAddress {
  readonly host: string
  readonly port: number
}

export interface DialledConnectionOptions {
  readonly surroundings: WireSurroundings
  readonly limits: PeerWireLimits
  readonly address: PeerAddress
  readonly tls: PeerTls | null
  readonly receiveByEvents: boolean
  /** Ours, with the number of this connection. */
  readonly hello: Hello
  readonly lost: LostRequests
  /** The other side's answer: up() or close() follows. */
  readonly answered: (answer: DecodedHello, certificate: string | null) => void
  readonly closed: (reason: string) => void
}

/** One connection by which this daemon sends requests to another, from dialling to its end. */
export class DialledConnection implements PeerSocketSink, FrameSink {
  readonly receiving = true
  targetAt = 0
  readonly #options: DialledConnectionOptions
  readonly #socket: PeerSocket
  readonly #reader: FrameReader
  readonly #writer: FrameWriter
  readonly #helloIntake = new HelloIntake()
  readonly #requests = new RequestTable()
  readonly #dialled: net.Socket
  #identity: PeerIdentity | null = null
  #bytesInFlight = 0
  #pingedAtMs: number

  constructor(options: DialledConnectionOptions) {
    const { surroundings } = options
    this.#options = options
    this.#socket = new PeerSocket(this, surroundings)
    this.#reader = new FrameReader(this, surroundings.pool)
    this.#writer = new FrameWriter(this.#socket.output)
    this.#pingedAtMs = this.#socket.heardAtMs
    const receivesEvents = options.tls !== null || options.receiveByEvents
    this.#dialled = dial(options, receivesEvents ? null : this.#socket)
    this.#socket.attach(this.#dialled, receivesEvents)
    this.#dialled.once(options.tls === null ? 'connect' : 'secureConnect', () => this.#sendHello())
  }

  /** Of the other side, once its hello was accepted. */
  get identity(): PeerIdentity | null {
    return this.#identity
  }

  get isUp(): boolean {
    return this.#identity !== null && this.#socket.isOpen
  }

  get receivedBytes(): number {
    return this.#socket.receivedBytes
  }

  get sentBytes(): number {
    return this.#socket.sentBytes
  }

  /** The other side's hello was accepted. */
  up(identity: PeerIdentity): void {
    this.#identity = identity
  }

  /** False, with nothing done, when a bound is passed. Only while the connection is up. */
  send(request: PeerRequest): boolean {
    const { bytesInFlightMax, requestsInFlightMax } = this.#options.limits
    const body = encodeBody(request.body)
    const bytes = bytesOf(request) + body.length
    if (this.#bytesInFlight + bytes > bytesInFlightMax && this.#bytesInFlight > 0) return false
    if (this.#requests.size >= requestsInFlightMax) return false
    // The other side counts the names too. A new connection begins to count anew.
    if (this.#writer.volumesNamed >= VOLUMES_PER_CONNECTION_MAX) {
      this.close('tooManyVolumes')
      return false
    }
    this.#bytesInFlight += bytesOf(request)
    this.#writer.request(request, this.#requests.add(request), body)
    this.#socket.flushSoon()
    return true
  }

  close(reason: string): void {
    this.#socket.close(reason)
  }

  /** Time limits of a connection that is up. */
  tick(nowMs: number): void {
    const { silenceMaxMs, pingAfterMs } = this.#options.limits
    const silentMs = nowMs - this.#socket.heardAtMs
    if (silentMs >= silenceMaxMs) return this.close('silent')
    if (silentMs < pingAfterMs || nowMs - this.#pingedAtMs < pingAfterMs) return
    this.#pingedAtMs = nowMs
    this.#writer.ping(FrameType.ping, 0)
    this.#socket.flushSoon()
  }

  /** This process stood still for so long: that says nothing of the other side. */
  excuseSilence(ms: number): void {
    this.#socket.heardAtMs += ms
  }

  // PeerSocketSink.

  directTarget(): Buffer | null {
    return this.#reader.directTarget()
  }

  receivedInPlace(lengthBytes: number): void {
    this.#reader.receivedInPlace(lengthBytes)
  }

  receive(chunk: Buffer, lengthBytes: number): void {
    if (this.#identity !== null) return this.#reader.receive(chunk, lengthBytes)
    const decoded = this.#helloIntake.take(chunk, lengthBytes)
    if (decoded.is === 'incomplete') return
    if (decoded.is === 'fault') return this.close(decoded.fault)
    this.#options.answered(decoded, this.#options.tls === null ? null : certificateName(this.#dialled))
  }

  socketClosed(reason: string): void {
    this.#reader.close()
    this.#bytesInFlight = 0
    for (const request of this.#requests.drain()) this.#options.lost.add(request)
    this.#options.closed(reason)
  }

  // FrameSink.

  payloadTarget(header: FrameHeader): Buffer | null {
    const request = header.type === FrameType.reply ? this.#requests.find(header.id) : null
    if (request === null || header.payloadBytes > request.intoLengthBytes) return null
    this.targetAt = request.intoAt
    return request.into
  }

  frameReceived(header: FrameHeader, content: Buffer, at: number, where: ContentIn): FrameFault | null {
    const fault = this.#take(header, content, at, where)
    if (where === ContentIn.pooled) this.#options.surroundings.pool.give(content)
    return fault
  }

  streamFailed(fault: FrameFault): void {
    this.close(fault)
  }

  #take(header: FrameHeader, content: Buffer, at: number, where: ContentIn): FrameFault | null {
    if (header.type === FrameType.pong) return null
    if (header.type !== FrameType.reply) return 'unexpectedFrame'
    const request = this.#requests.find(header.id)
    if (request === null) return 'unknownRequest'
    const { payloadBytes, bodyBytes } = header
    if (payloadBytes > request.intoLengthBytes) return 'replyTooLong'
    if (payloadBytes < request.intoLengthBytes && header.code === 0 && reads(request)) return 'replyTooShort'
    const body = decodeBody(content, at, bodyBytes)
    if (body === undefined) return 'badBody'
    if (where !== ContentIn.placed && payloadBytes > 0) {
      content.copy(request.into, request.intoAt, at + bodyBytes, at + bodyBytes + payloadBytes)
    }
    request.status = header.code as PeerRequest['status']
    request.failedAtBytes = header.value
    request.replyBody = body
    this.#requests.remove(header.id)
    this.#bytesInFlight -= bytesOf(request)
    request.completion.replied(request)
    return null
  }

  #sendHello(): void {
    const bytes = encodeHello(this.#options.hello)
    const { output } = this.#socket
    const at = output.reserve(bytes.length)
    output.commit(at + bytes.copy(output.slab, at))
    this.#socket.flush()
  }
}

/** Without its body: what is added when a request leaves is what is taken off when its reply comes. */
function bytesOf(request: PeerRequest): number {
  return REQUEST_HEADER_BYTES + request.payloadLengthBytes + request.intoLengthBytes
}

function reads({ kind, into }: PeerRequest): boolean {
  return (kind === PeerRequestKind.read || kind === PeerRequestKind.forward) && into !== NO_PAYLOAD
}

function dial(options: DialledConnectionOptions, intake: ByteIntake | null): net.Socket {
  const { host, port } = options.address
  if (options.tls !== null) {
    // Who it is says the hello, and what the certificate says of that is compared when the peer is admitted.
    return tls.connect({
      host,
      port,
      ...options.tls,
      minVersion: 'TLSv1.3',
      checkServerIdentity: () => undefined,
    })
  }
  if (intake === null) return net.connect({ host, port })
  const onread = {
    buffer: () => intake.nextBuffer() as Uint8Array<ArrayBuffer>,
    callback: (lengthBytes: number, buffer: Uint8Array) => intake.received(lengthBytes, buffer as Buffer),
  }
  return net.connect({ host, port, onread })
}
