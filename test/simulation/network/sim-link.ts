import {
  type PeerIdentity,
  type PeerLink,
  type PeerRequest,
  PeerStatus,
} from '../../../src/replication/peer-network.ts'
import type { Timer } from '../../../src/replication/timers.ts'
import { SimConnection } from './sim-connection.ts'
import type { SimNode } from './sim-network.ts'

/** A connection through which nothing comes for so long is given up: the real one's ping and its patience. */
const SILENCE_MS_MIN = 1500
const SILENCE_MS_MAX = 4000
const RETRY_MS_MIN = 30
const RETRY_MS_MAX = 400
const CONNECT_TIMEOUT_MS = 1000

/** One peer's way to another: connects, notices that it is cut off, connects again. */
export class SimLink implements PeerLink {
  readonly peerNumber: number
  readonly node: SimNode
  connection = 0
  identity: PeerIdentity | null = null
  #current: SimConnection | null = null
  #attempt = 0
  #silence: Timer | null = null
  readonly #listeners = new Set<() => void>()

  constructor(node: SimNode, peerNumber: number) {
    this.node = node
    this.peerNumber = peerNumber
  }

  get isUp(): boolean {
    return this.#current !== null
  }

  begin(): void {
    this.#retry(0)
  }

  send(request: PeerRequest): void {
    if (this.#current === null) this.lose(request)
    else this.#current.send(request)
  }

  reset(): void {
    if (this.#current !== null) this.broken(this.#current, 'reset by its sender')
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  lose(request: PeerRequest): void {
    this.node.process.post(0, () => {
      request.status = PeerStatus.lost
      request.replyBody = null
      request.completion.replied(request)
    })
  }

  /** The sender's end of a connection is gone, or noticed that the other one is. */
  broken(connection: SimConnection, why: string): void {
    if (this.#current !== connection) return
    this.node.network.tally.add(`connection ${why}`)
    this.#current = null
    this.identity = null
    this.#silence?.cancel()
    this.#silence = null
    for (const request of connection.end()) this.lose(request)
    this.#changed()
    this.#retry(this.#random.between(RETRY_MS_MIN, RETRY_MS_MAX))
  }

  /** The wires changed: what was held back goes on; silence begins or ends. */
  pathsChanged(): void {
    this.#current?.pathsChanged()
    this.#watchSilence()
  }

  #watchSilence(): void {
    const current = this.#current
    const isCut = current !== null && this.#isCut
    if (!isCut) {
      this.#silence?.cancel()
      this.#silence = null
      return
    }
    this.#silence ??= this.node.process.after(this.#random.between(SILENCE_MS_MIN, SILENCE_MS_MAX), () => {
      this.#silence = null
      this.broken(current, 'silent for too long')
    })
  }

  /** The other side stopped or froze: its end says nothing, or says that it is gone. */
  otherEndGone(silently: boolean): void {
    const current = this.#current
    if (current === null) return
    const delay = silently
      ? this.#random.between(SILENCE_MS_MIN, SILENCE_MS_MAX)
      : this.node.network.delayMs()
    this.node.process.post(delay, () =>
      this.broken(current, silently ? 'silent for too long' : 'reset by its peer'),
    )
  }

  /** Whoever has sent something by it hears that it is lost; there is no other connection. */
  close(): void {
    const current = this.#current
    this.#current = null
    this.#attempt++
    for (const request of current?.end() ?? []) this.lose(request)
    this.#changed()
  }

  /** The process at this end is no more: what it had sent may arrive yet. */
  senderGone(): void {
    const current = this.#current
    this.#current = null
    current?.end()
  }

  get #random() {
    return this.node.network.random
  }

  get #isCut(): boolean {
    const { network, self } = this.node
    return (
      network.isBlocked(self.peerNumber, this.peerNumber) ||
      network.isBlocked(this.peerNumber, self.peerNumber)
    )
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #retry(delayMs: number): void {
    if (this.node.isClosed) return
    const attempt = ++this.#attempt
    this.node.process.after(delayMs, () => {
      if (attempt === this.#attempt) this.#connect(attempt)
    })
  }

  #connect(attempt: number): void {
    const { network, process, self } = this.node
    const again = () => {
      if (attempt === this.#attempt) this.#retry(this.#random.between(RETRY_MS_MIN, RETRY_MS_MAX))
    }
    const target = network.node(this.peerNumber)
    if (target === undefined || !target.isServing || this.#isCut) {
      process.after(this.#random.between(1, CONNECT_TIMEOUT_MS), again)
      return
    }
    const connection = new SimConnection(this, target, this.connection + 1)
    this.connection++
    const hello = () => {
      const refused = () => process.post(network.delayMs(), again)
      target
        .handler!.connected(self, connection.number)
        .then(
          () => process.post(network.delayMs(), () => this.#established(attempt, connection, target.self)),
          refused,
        )
    }
    connection.accepted = true
    target.process.post(network.delayMs(), hello)
    process.after(2 * CONNECT_TIMEOUT_MS, again)
  }

  #established(attempt: number, connection: SimConnection, identity: PeerIdentity): void {
    if (attempt !== this.#attempt) {
      connection.end()
      return
    }
    // No attempt is under way any more.
    this.#attempt++
    const { process } = this.node.network.node(this.peerNumber)!
    if (!process.alive || this.node.network.node(this.peerNumber) !== connection.target) {
      this.#retry(RETRY_MS_MIN)
      return
    }
    this.#current = connection
    this.identity = identity
    this.#watchSilence()
    this.#changed()
  }
}
