import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { isLoopback } from '../../config/host-port.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { invariant } from '../../lib/invariant.ts'
import { BufferPool } from '../../net/buffer-pool.ts'
import { BusyPoll } from '../../net/busy-poll.ts'
import { type Clock, systemClock } from '../../net/clock.ts'
import { FaultCounters } from '../../net/fault-counters.ts'
import { FlushQueue } from '../../net/flush-queue.ts'
import { type Logger, silentLogger } from '../../net/logger.ts'
import { SlabPool } from '../../net/slab-output.ts'
import { hostAndPort } from '../../net/socket-address.ts'
import type { PeerIdentity, PeerNetwork, PeerRequestHandler } from '../peer-network.ts'
import { AcceptedConnection } from './accepted-connection.ts'
import { AcceptedPeers } from './accepted-peers.ts'
import type { PeerAddress } from './dialled-connection.ts'
import { VERSIONS, type Versions } from './hello.ts'
import {
  defaultPeerWireLimits,
  type PeerWireLimits,
  POOL_RETAINED_BYTES_MAX,
  RECEIVE_BUFFER_BYTES,
  SLABS_KEPT_MAX,
  TICK_MS,
  TRANSMIT_SLAB_BYTES,
} from './limits.ts'
import { LostRequests } from './lost-requests.ts'
import type { WireSurroundings } from './peer-socket.ts'
import { certificateName, type PeerTls } from './peer-tls.ts'
import { type AdmitPeer, TcpPeerLink } from './tcp-peer-link.ts'

export interface TcpPeerNetworkOptions {
  readonly self: PeerIdentity
  /** Null while nobody knows where the peer is: asked again later. */
  readonly addressOf: (peerNumber: number) => PeerAddress | null
  /** Asked for every hello, on both sides, after what the hello itself shows has been checked. */
  readonly admit: AdmitPeer
  /** Null: plain TCP, on loopback only unless `allowPlain`. */
  readonly tls: PeerTls | null
  readonly allowPlain?: boolean
  readonly limits?: Partial<PeerWireLimits>
  readonly versions?: Versions
  readonly clock?: Clock
  readonly logger?: Logger
  /** Receive by 'data' events although Node's private socket handle is there. */
  readonly receiveByEvents?: boolean
}

/** What went over all connections of a network with one peer, in bytes on the wire. */
export interface PeerTraffic {
  readonly peerNumber: number
  readonly isUp: boolean
  /** Why there is no connection now; null while there is one. */
  readonly failure: string | null
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** Requests between daemons over TCP, with or without TLS. docs/design/004-peer-wire.md. */
export class TcpPeerNetwork implements PeerNetwork, AsyncDisposable {
  readonly self: PeerIdentity
  /** Why connections ended, counted by reason. */
  readonly faults = new FaultCounters()
  readonly #options: TcpPeerNetworkOptions
  readonly #limits: PeerWireLimits
  readonly #logger: Logger
  readonly #surroundings: WireSurroundings
  readonly #links = new Map<number, TcpPeerLink>()
  readonly #lost = new LostRequests()
  readonly #accepted = new Set<AcceptedConnection>()
  readonly #peers: AcceptedPeers
  readonly #stopTicking: () => void
  #server: net.Server | null = null
  #handler: PeerRequestHandler | null = null
  #tickedAtMs: number

  constructor(options: TcpPeerNetworkOptions) {
    this.self = options.self
    this.#options = options
    this.#limits = { ...defaultPeerWireLimits, ...options.limits }
    this.#logger = options.logger ?? silentLogger
    const clock = options.clock ?? systemClock
    this.#surroundings = {
      receiveBuffer: Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES),
      pool: new BufferPool(POOL_RETAINED_BYTES_MAX),
      slabs: new SlabPool(TRANSMIT_SLAB_BYTES, SLABS_KEPT_MAX),
      flushQueue: new FlushQueue(),
      busyPoll: new BusyPoll(() => performance.now()),
      clock,
    }
    this.#peers = new AcceptedPeers({
      self: options.self,
      versions: this.#versions,
      admit: options.admit,
      handler: () => this.#handler!,
      logger: this.#logger,
    })
    this.#tickedAtMs = clock.nowMs()
    this.#stopTicking = clock.repeat(TICK_MS, () => this.#tick())
  }

  serve(handler: PeerRequestHandler): void {
    invariant(this.#handler === null, 'one handler serves a network')
    this.#handler = handler
  }

  link(peerNumber: number): TcpPeerLink {
    invariant(peerNumber !== this.self.peerNumber, 'nobody dials itself')
    let link = this.#links.get(peerNumber)
    if (link === undefined) {
      link = new TcpPeerLink(peerNumber, {
        self: this.self,
        versions: this.#versions,
        surroundings: this.#surroundings,
        limits: this.#limits,
        tls: this.#options.tls,
        receiveByEvents: this.#options.receiveByEvents ?? false,
        addressOf: number => this.#addressOf(number),
        admit: this.#options.admit,
        lost: this.#lost,
        logger: this.#logger,
      })
      this.#links.set(peerNumber, link)
    }
    return link
  }

  /** Begins to accept; answers the address. Rejects with ERR_LISTEN, or ERR_CONFIG_INVALID for plain TCP elsewhere. */
  async listen(host: string, port: number): Promise<string> {
    invariant(
      this.#handler !== null && this.#server === null,
      'requests are served before the first can come',
    )
    this.#refusePlain(host)
    const server = this.#makeServer()
    server.maxConnections = this.#limits.connectionsMax
    try {
      server.listen({ host, port })
      await once(server, 'listening')
    } catch (cause) {
      throw new HoldfastError('ERR_LISTEN', `cannot listen for peers on ${hostAndPort(host, port)}`, {
        cause,
      })
    }
    this.#server = server
    const address = server.address() as net.AddressInfo
    return hostAndPort(address.address, address.port)
  }

  traffic(): PeerTraffic[] {
    return [...this.#links.values()].map(({ peerNumber, isUp, failure, sentBytes, receivedBytes }) => ({
      peerNumber,
      isUp,
      failure,
      sentBytes: sentBytes + this.#sumOf(peerNumber, connection => connection.sentBytes),
      receivedBytes: receivedBytes + this.#sumOf(peerNumber, connection => connection.receivedBytes),
    }))
  }

  /** Ends every connection; requests in flight are lost. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopTicking()
    for (const link of this.#links.values()) link.close()
    const server = this.#server
    const closed = server === null ? null : once(server, 'close')
    server?.close()
    for (const connection of this.#accepted) connection.close('closing')
    await closed
  }

  get #versions(): Versions {
    return this.#options.versions ?? VERSIONS
  }

  #makeServer(): net.Server {
    const { tls: material } = this.#options
    if (material === null) {
      return net.createServer({ pauseOnConnect: true, noDelay: true }, socket => this.#accept(socket, false))
    }
    const options: tls.TlsOptions = {
      ...material,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: this.#limits.handshakeTimeoutMs,
    }
    const server = tls.createServer(options, socket => this.#accept(socket, true))
    server.on('tlsClientError', () => this.faults.count('tlsFailed'))
    return server
  }

  #accept(socket: net.Socket, isTls: boolean): void {
    const certificate = isTls ? certificateName(socket) : null
    const connection = new AcceptedConnection(socket, isTls, {
      surroundings: this.#surroundings,
      limits: this.#limits,
      handler: () => this.#handler!,
      receiveByEvents: this.#options.receiveByEvents ?? false,
      helloReceived: (from, hello) => void this.#peers.welcome(from, hello, certificate),
      closed: (ended, reason) => {
        this.faults.count(reason)
        this.#accepted.delete(ended)
        this.#peers.closed(ended)
      },
    })
    this.#accepted.add(connection)
  }

  #addressOf(peerNumber: number): PeerAddress | null {
    const address = this.#options.addressOf(peerNumber)
    if (address !== null) this.#refusePlain(address.host)
    return address
  }

  #refusePlain(host: string): void {
    if (this.#options.tls !== null || this.#options.allowPlain === true || isLoopback(host)) return
    throw new HoldfastError(
      'ERR_CONFIG_INVALID',
      `peers at ${host} need TLS: give tlsDir, or allow plain connections between peers`,
    )
  }

  #sumOf(peerNumber: number, bytes: (connection: AcceptedConnection) => number): number {
    let sum = 0
    for (const connection of this.#accepted) {
      if (connection.isServing && connection.from.peerNumber === peerNumber) sum += bytes(connection)
    }
    return sum
  }

  #tick(): void {
    const nowMs = this.#surroundings.clock.nowMs()
    const lateMs = nowMs - this.#tickedAtMs - TICK_MS
    this.#tickedAtMs = nowMs
    const stoodStillMs = lateMs > TICK_MS ? lateMs : 0
    for (const link of this.#links.values()) {
      if (stoodStillMs > 0) link.excuseSilence(stoodStillMs)
      link.tick(nowMs)
    }
    for (const connection of this.#accepted) {
      if (stoodStillMs > 0) connection.excuseSilence(stoodStillMs)
      this.#tickAccepted(connection, nowMs)
    }
  }

  #tickAccepted(connection: AcceptedConnection, nowMs: number): void {
    const { handshakeTimeoutMs, silenceMaxMs } = this.#limits
    if (!connection.isServing) {
      if (nowMs - connection.openedAtMs >= handshakeTimeoutMs) connection.close('handshakeTimeout')
    } else if (nowMs - connection.heardAtMs >= silenceMaxMs) {
      connection.close('silent')
    }
  }
}
