import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Logger } from '../../net/logger.ts'
import type { PeerIdentity, PeerLink, PeerRequest } from '../peer-network.ts'
import { DialledConnection, type PeerAddress } from './dialled-connection.ts'
import { chooseVersion, type DecodedHello, type Versions } from './hello.ts'
import { checkHello } from './hello-checks.ts'
import type { PeerWireLimits } from './limits.ts'
import type { LostRequests } from './lost-requests.ts'
import type { WireSurroundings } from './peer-socket.ts'
import type { PeerTls } from './peer-tls.ts'

/** Whether this is the peer that the cluster knows. Rejects with a HoldfastError that names the reason. */
export type AdmitPeer = (peer: PeerIdentity, certificateName: string | null) => Promise<void>

export interface TcpPeerLinkOptions {
  readonly self: PeerIdentity
  readonly versions: Versions
  readonly surroundings: WireSurroundings
  readonly limits: PeerWireLimits
  readonly tls: PeerTls | null
  readonly receiveByEvents: boolean
  /** Null while nobody knows: asked again later. Throws when the peer must not be dialled there. */
  readonly addressOf: (peerNumber: number) => PeerAddress | null
  readonly admit: AdmitPeer
  readonly lost: LostRequests
  readonly logger: Logger
}

/** The way to one other daemon over TCP: dials, and dials again with growing pauses for as long as it is open. */
export class TcpPeerLink implements PeerLink {
  readonly peerNumber: number
  /** Why the last connection, or the last attempt at one, ended; null while one is up. */
  failure: string | null = 'notConnectedYet'
  readonly #options: TcpPeerLinkOptions
  readonly #listeners = new Set<() => void>()
  #dialled: DialledConnection | null = null
  #dialledAtMs = 0
  #connection = 0
  #nextDialAtMs = 0
  #pauseMs: number
  #isUp = false
  #isClosed = false
  #pastReceivedBytes = 0
  #pastSentBytes = 0

  constructor(peerNumber: number, options: TcpPeerLinkOptions) {
    this.peerNumber = peerNumber
    this.#options = options
    this.#pauseMs = options.limits.reconnectMinMs
    this.#dial()
  }

  get isUp(): boolean {
    return this.#isUp
  }

  get connection(): number {
    return this.#connection
  }

  get identity(): PeerIdentity | null {
    return this.#isUp ? this.#dialled!.identity : null
  }

  /** On the wire, since the link was made. */
  get receivedBytes(): number {
    return this.#pastReceivedBytes + (this.#dialled?.receivedBytes ?? 0)
  }

  get sentBytes(): number {
    return this.#pastSentBytes + (this.#dialled?.sentBytes ?? 0)
  }

  send(request: PeerRequest): void {
    if (!this.#isUp || !this.#dialled!.send(request)) this.#options.lost.add(request)
  }

  reset(): void {
    this.#dialled?.close('reset')
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** No connection from now on. */
  close(): void {
    this.#isClosed = true
    this.#dialled?.close('closing')
  }

  tick(nowMs: number): void {
    if (this.#isUp) return this.#dialled!.tick(nowMs)
    if (this.#dialled === null) {
      if (nowMs >= this.#nextDialAtMs) this.#dial()
    } else if (nowMs - this.#dialledAtMs >= this.#options.limits.handshakeTimeoutMs) {
      this.#dialled.close('handshakeTimeout')
    }
  }

  excuseSilence(ms: number): void {
    this.#dialled?.excuseSilence(ms)
  }

  #dial(): void {
    if (this.#isClosed) return
    const { surroundings, limits, tls, receiveByEvents, self, versions, lost } = this.#options
    this.#dialledAtMs = surroundings.clock.nowMs()
    const address = this.#address()
    if (address === null) return this.#dialLater()
    const connection = ++this.#connection
    const dialled = new DialledConnection({
      surroundings,
      limits,
      address,
      tls,
      receiveByEvents,
      hello: { versions, identity: self, connection },
      lost,
      answered: (answer, certificate) => void this.#answered(dialled, answer, certificate),
      closed: reason => this.#closed(reason),
    })
    this.#dialled = dialled
  }

  #address(): PeerAddress | null {
    try {
      const address = this.#options.addressOf(this.peerNumber)
      if (address === null) this.failure = 'addressUnknown'
      return address
    } catch (error) {
      this.failure = String(error)
      return null
    }
  }

  async #answered(
    dialled: DialledConnection,
    answer: DecodedHello,
    certificate: string | null,
  ): Promise<void> {
    try {
      const identity = this.#accepted(answer)
      await this.#options.admit(identity, certificate)
      if (this.#dialled !== dialled) return
      dialled.up(identity)
    } catch (error) {
      if (this.#dialled !== dialled) return
      this.#options.logger.warn({ peer: this.peerNumber, err: error }, 'no connection to a peer')
      dialled.close(error instanceof HoldfastError ? error.message : 'notAdmitted')
      return
    }
    this.#isUp = true
    this.failure = null
    this.#pauseMs = this.#options.limits.reconnectMinMs
    this.#tell()
  }

  /** The identity that the answer shows. Throws ERR_PEER_REFUSED when it is not one to talk to. */
  #accepted(answer: DecodedHello): PeerIdentity {
    const { self, versions } = this.#options
    if (answer.is === 'refusal') throw new HoldfastError('ERR_PEER_REFUSED', answer.refusal.refused.message)
    if (answer.is !== 'hello') throw new HoldfastError('ERR_PEER_REFUSED', 'no hello came')
    const { identity, connection, versions: theirs } = answer.hello
    if (chooseVersion(versions, theirs) === null || connection !== this.#connection) {
      throw new HoldfastError('ERR_PEER_REFUSED', `peer '${identity.peerId}' answered something else`)
    }
    checkHello(self, identity, connection, null)
    if (identity.peerNumber !== this.peerNumber) {
      const who = `peer '${identity.peerId}' with number ${identity.peerNumber}`
      throw new HoldfastError('ERR_PEER_REFUSED', `at the address of peer ${this.peerNumber} is ${who}`)
    }
    return identity
  }

  #closed(reason: string): void {
    this.#pastReceivedBytes = this.receivedBytes
    this.#pastSentBytes = this.sentBytes
    this.#dialled = null
    this.failure = reason
    const wasUp = this.#isUp
    this.#isUp = false
    this.#dialLater()
    if (wasUp) this.#tell()
  }

  #dialLater(): void {
    this.#nextDialAtMs = this.#options.surroundings.clock.nowMs() + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#options.limits.reconnectMaxMs)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}
