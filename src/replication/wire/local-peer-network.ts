import { invariant } from '../../lib/invariant.ts'
import { BufferPool } from '../../net/buffer-pool.ts'
import { type Logger, silentLogger } from '../../net/logger.ts'
import type { PeerIdentity, PeerLink, PeerNetwork, PeerRequest, PeerRequestHandler } from '../peer-network.ts'
import { defaultPeerWireLimits, POOL_RETAINED_BYTES_MAX } from './limits.ts'
import { LocalRequest, type LocalRequestOwner } from './local-request.ts'
import { LostRequests } from './lost-requests.ts'
import { TurnQueue } from './turn-queue.ts'

/**
 * Peers of one process: the same rules as over TCP, without sockets. Requests are handed over, and replies given,
 * when the present tick has ended. A payload is handed over in place.
 */
export class LocalPeerHub {
  readonly queue = new TurnQueue()
  readonly pool = new BufferPool(POOL_RETAINED_BYTES_MAX)
  readonly lost = new LostRequests()
  readonly logger: Logger
  readonly #networks = new Map<number, LocalPeerNetwork>()

  constructor(logger: Logger = silentLogger) {
    this.logger = logger
  }

  /** The network of one peer. A link is up once the other end serves. */
  join(self: PeerIdentity): LocalPeerNetwork {
    invariant(!this.#networks.has(self.peerNumber), 'each peer of a process joins once')
    const network = new LocalPeerNetwork(self, this)
    this.#networks.set(self.peerNumber, network)
    return network
  }

  network(peerNumber: number): LocalPeerNetwork | null {
    return this.#networks.get(peerNumber) ?? null
  }

  /** `network` serves from now on. */
  serves({ self }: LocalPeerNetwork): void {
    for (const other of this.#networks.values()) other.existingLink(self.peerNumber)?.connect()
  }

  left({ self }: LocalPeerNetwork): void {
    this.#networks.delete(self.peerNumber)
    for (const other of this.#networks.values()) other.existingLink(self.peerNumber)?.reset()
  }
}

export class LocalPeerNetwork implements PeerNetwork, AsyncDisposable {
  readonly self: PeerIdentity
  handler: PeerRequestHandler | null = null
  readonly #hub: LocalPeerHub
  readonly #links = new Map<number, LocalPeerLink>()

  constructor(self: PeerIdentity, hub: LocalPeerHub) {
    this.self = self
    this.#hub = hub
  }

  serve(handler: PeerRequestHandler): void {
    invariant(this.handler === null, 'one handler serves a network')
    this.handler = handler
    this.#hub.serves(this)
  }

  link(peerNumber: number): PeerLink {
    invariant(peerNumber !== this.self.peerNumber, 'nobody dials itself')
    let link = this.#links.get(peerNumber)
    if (link === undefined) {
      link = new LocalPeerLink(this.self, peerNumber, this.#hub)
      this.#links.set(peerNumber, link)
      link.connect()
    }
    return link
  }

  existingLink(peerNumber: number): LocalPeerLink | null {
    return this.#links.get(peerNumber) ?? null
  }

  /** Ends every connection, from here and to here. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links.values()) link.close()
    this.#hub.left(this)
  }
}

class LocalPeerLink implements PeerLink, LocalRequestOwner {
  readonly peerNumber: number
  readonly queue: TurnQueue
  readonly pool: BufferPool
  readonly #self: PeerIdentity
  readonly #hub: LocalPeerHub
  readonly #listeners = new Set<() => void>()
  readonly #inFlight = new Set<LocalRequest>()
  readonly #idle: LocalRequest[] = []
  #connection = 0
  /** Whom the present connection reaches; null while none is up. */
  #peer: LocalPeerNetwork | null = null
  #isConnecting = false
  #isClosed = false

  constructor(self: PeerIdentity, peerNumber: number, hub: LocalPeerHub) {
    this.#self = self
    this.peerNumber = peerNumber
    this.#hub = hub
    this.queue = hub.queue
    this.pool = hub.pool
  }

  get isUp(): boolean {
    return this.#peer !== null
  }

  get connection(): number {
    return this.#connection
  }

  get identity(): PeerIdentity | null {
    return this.#peer?.self ?? null
  }

  send(request: PeerRequest): void {
    if (this.#peer === null || this.#inFlight.size >= defaultPeerWireLimits.requestsInFlightMax) {
      return this.#hub.lost.add(request)
    }
    const local = this.#idle.pop() ?? new LocalRequest(this)
    this.#inFlight.add(local)
    local.open(request, this.#peer.handler!, this.#self, this.#connection)
    this.queue.add(local)
  }

  reset(): void {
    const peer = this.#peer
    if (peer === null) return
    this.#peer = null
    for (const local of this.#inFlight) this.#hub.lost.add(local.cut())
    this.#inFlight.clear()
    peer.handler!.disconnected(this.#self, this.#connection)
    this.#tell()
    this.connect()
  }

  close(): void {
    this.#isClosed = true
    this.reset()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  connect(): void {
    const peer = this.#hub.network(this.peerNumber)
    const isWanted = this.#peer === null && !this.#isConnecting && !this.#isClosed
    if (isWanted && peer !== null && peer.handler !== null) void this.#connect(peer, peer.handler)
  }

  answered(local: LocalRequest): void {
    this.#inFlight.delete(local)
    this.#idle.push(local)
  }

  async #connect(peer: LocalPeerNetwork, handler: PeerRequestHandler): Promise<void> {
    this.#isConnecting = true
    const connection = ++this.#connection
    try {
      await handler.connected(this.#self, connection)
    } catch (error) {
      this.#hub.logger.warn({ peer: peer.self.peerId, err: error }, 'a peer of this process refuses another')
      setTimeout(() => this.#connectAgain(), defaultPeerWireLimits.reconnectMaxMs).unref()
      return
    }
    this.#isConnecting = false
    if (this.#isClosed || this.#hub.network(this.peerNumber) !== peer) {
      return handler.disconnected(this.#self, connection)
    }
    this.#peer = peer
    this.#tell()
  }

  #connectAgain(): void {
    this.#isConnecting = false
    this.connect()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
