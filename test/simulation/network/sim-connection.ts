import {
  type IncomingRequest,
  NO_PAYLOAD,
  type PeerAnswer,
  type PeerIdentity,
  type PeerRequest,
  type PeerRequestKind,
  type PeerStatus,
} from '../../../src/replication/peer-network.ts'
import { SimulationError } from '../world/event-loop.ts'
import type { SimLink } from './sim-link.ts'
import type { SimNode } from './sim-network.ts'

/** Of what was on the wire when its sender went away, this much still arrives. */
const ARRIVES_WITHOUT_SENDER = 0.6
/** Of ends behind which bytes wait for the wires to be mended, these leave them to the kernel. */
const KERNEL_KEEPS = 0.5
const POISON = 0xee

interface Held {
  readonly deliver: () => void
}

/** One connection: requests in order one way, answers in order the other way, bytes copied as a wire would. */
export class SimConnection {
  readonly number: number
  readonly link: SimLink
  readonly target: SimNode
  /** The other side has been asked, so it must hear of the end. */
  accepted = false
  #open = true
  /** The sender is gone, and with it what its kernel had not sent. */
  #cutAtMs = Number.POSITIVE_INFINITY
  #lastArrivalMs = 0
  #lastReturnMs = 0
  #heldForward: Held[] = []
  #heldBack: Held[] = []
  #lingers = false
  readonly #inFlight = new Set<PeerRequest>()

  constructor(link: SimLink, target: SimNode, number: number) {
    this.link = link
    this.target = target
    this.number = number
  }

  send(request: PeerRequest): void {
    const { network, self } = this.link.node
    this.#inFlight.add(request)
    for (const tap of network.taps) tap.sent?.(this, request)
    const incoming = new SimIncoming(this, request, self)
    const deliver = () => {
      this.#lastArrivalMs = Math.max(this.#lastArrivalMs + 0.001, network.loop.nowMs + network.delayMs())
      network.loop.at(this.#lastArrivalMs, () => this.#arrive(incoming))
    }
    if (network.isBlocked(self.peerNumber, this.target.self.peerNumber) || this.#heldForward.length > 0) {
      this.#heldForward.push({ deliver })
    } else deliver()
  }

  #arrive(incoming: SimIncoming): void {
    const { network } = this.link.node
    if (!this.#open) {
      if (network.loop.nowMs >= this.#cutAtMs) return
      network.tally.add('bytes arrived after their sender was gone')
    }
    if (this.target.isClosed) return
    this.target.process.run(() => incoming.deliver(this.target))
  }

  /** What is sent from now on takes so much longer, and arrives though the sender be gone by then. */
  stall(ms: number): void {
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, this.link.node.network.loop.nowMs) + ms
    this.#lingers = true
  }

  /** From the receiver. */
  replied(request: IncomingRequest, status: PeerStatus): void {
    for (const tap of this.link.node.network.taps) tap.answered?.(this, request, status)
  }

  answer(request: PeerRequest, fill: () => boolean): void {
    const { network, self, process } = this.link.node
    const deliver = () => {
      this.#lastReturnMs = Math.max(this.#lastReturnMs + 0.001, network.loop.nowMs + network.delayMs())
      network.loop.at(this.#lastReturnMs, () => {
        process.run(() => {
          if (!this.#open || !this.#inFlight.delete(request)) return
          if (!fill()) {
            this.#inFlight.add(request)
            this.link.broken(this, 'with an answer that is too long')
            return
          }
          request.completion.replied(request)
        })
      })
    }
    if (!this.#open || this.target.isClosed) return
    if (network.isBlocked(this.target.self.peerNumber, self.peerNumber) || this.#heldBack.length > 0) {
      this.#heldBack.push({ deliver })
    } else deliver()
  }

  /** A healed path lets go of what TCP kept trying to send. */
  pathsChanged(): void {
    const { network, self } = this.link.node
    const other = this.target.self.peerNumber
    if (!network.isBlocked(self.peerNumber, other)) {
      const held = this.#heldForward
      this.#heldForward = []
      for (const { deliver } of held) deliver()
    }
    if (!network.isBlocked(other, self.peerNumber)) {
      const held = this.#heldBack
      this.#heldBack = []
      for (const { deliver } of held) deliver()
    }
  }

  /** The sender's end is closed; answers what was in flight. Part of it may be carried out yet. */
  end(): PeerRequest[] {
    if (!this.#open) return []
    this.#open = false
    const { network, self } = this.link.node
    const now = network.loop.nowMs
    const span = Math.max(0, this.#lastArrivalMs - now)
    this.#cutAtMs = network.random.chance(ARRIVES_WITHOUT_SENDER)
      ? now + network.random.fraction() * span * 1.5
      : now
    const isKept = this.#heldForward.length > 0 && network.random.chance(KERNEL_KEEPS)
    if (isKept) network.orphans.add(this)
    else this.#heldForward = []
    if (isKept || this.#lingers) this.#cutAtMs = Number.POSITIVE_INFINITY
    this.#heldBack = []
    if (this.accepted) {
      const told = Math.max(now + span, this.#cutAtMs > now + span ? now + span : now) + network.delayMs()
      network.loop.at(told, () =>
        this.target.process.run(() => this.target.handler?.disconnected(self, this.number)),
      )
    }
    const lost = [...this.#inFlight]
    this.#inFlight.clear()
    return lost
  }

  get isOpen(): boolean {
    return this.#open
  }
}

/** A request as its receiver has it: a copy, gone bad once it may not be looked at any more. */
class SimIncoming implements IncomingRequest {
  readonly from: PeerIdentity
  readonly connection: number
  readonly kind: PeerRequestKind
  readonly volume: string
  readonly epoch: number
  readonly setVersion: number
  readonly offsetBytes: number
  readonly lengthBytes: number
  readonly operation: number
  readonly watermark: number
  readonly stream: number
  readonly sequence: number
  readonly flags: number
  readonly stamp: number
  readonly body: unknown
  payload: Buffer
  readonly payloadAt = 0
  readonly payloadLengthBytes: number
  readonly blockChecksums = null
  readonly #request: PeerRequest
  readonly #connection: SimConnection
  #kept = false
  #replied = false

  constructor(connection: SimConnection, request: PeerRequest, from: PeerIdentity) {
    this.#connection = connection
    this.#request = request
    this.from = from
    this.connection = connection.number
    this.kind = request.kind
    this.volume = request.volume
    this.epoch = request.epoch
    this.setVersion = request.setVersion
    this.offsetBytes = request.offsetBytes
    this.lengthBytes = request.lengthBytes
    this.operation = request.operation
    this.watermark = request.watermark
    this.stream = request.stream
    this.sequence = request.sequence
    this.flags = request.flags
    this.stamp = request.stamp
    this.body = throughJson(request.body)
    this.payloadLengthBytes = request.payloadLengthBytes
    const { payload, payloadAt, payloadLengthBytes } = request
    this.payload =
      payloadLengthBytes === 0
        ? NO_PAYLOAD
        : Buffer.from(payload.subarray(payloadAt, payloadAt + payloadLengthBytes))
  }

  deliver(target: SimNode): void {
    target.handler!.received(this)
    if (!this.#kept && this.payload.length > 0) this.#poison()
  }

  keep(): void {
    this.#kept = true
  }

  reserveReply(lengthBytes: number): { buffer: Buffer; at: number } {
    return { buffer: Buffer.alloc(lengthBytes), at: 0 }
  }

  reply(status: PeerStatus, answer: PeerAnswer = {}): void {
    if (this.#replied) throw new SimulationError('a request is replied to twice')
    this.#replied = true
    this.#connection.replied(this, status)
    const request = this.#request
    const body = throughJson(answer.body)
    const { failedAtBytes = 0 } = answer
    const at = answer.dataAt ?? 0
    const length = answer.dataLengthBytes ?? (answer.data === undefined ? 0 : answer.data.length - at)
    const data = answer.data === undefined ? NO_PAYLOAD : Buffer.from(answer.data.subarray(at, at + length))
    if (this.#kept && this.payload.length > 0) this.#poison()
    this.#connection.answer(request, () => {
      if (data.length > request.intoLengthBytes) return false
      request.status = status
      request.failedAtBytes = failedAtBytes
      request.replyBody = body
      data.copy(request.into, request.intoAt)
      return true
    })
  }

  #poison(): void {
    this.payload.fill(POISON)
  }
}

function throughJson(body: unknown): unknown {
  return body === null || body === undefined ? null : JSON.parse(JSON.stringify(body))
}
