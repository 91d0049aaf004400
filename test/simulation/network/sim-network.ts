import type {
  IncomingRequest,
  PeerIdentity,
  PeerLink,
  PeerNetwork,
  PeerRequest,
  PeerRequestHandler,
  PeerStatus,
} from '../../../src/replication/peer-network.ts'
import { type EventLoop, SimulationError } from '../world/event-loop.ts'
import type { Random } from '../world/random.ts'
import type { SimProcess } from '../world/sim-process.ts'
import type { Tally } from '../world/tally.ts'
import type { SimConnection } from './sim-connection.ts'
import { SimLink } from './sim-link.ts'

/** How messages travel at present. */
export interface Weather {
  minDelayMs: number
  maxDelayMs: number
  /** Chance per message of a delay of up to `spikeMs`. */
  spikeChance: number
  spikeMs: number
}

/** Sees every request: faults that aim at a moment, and the checker. */
export interface NetworkTap {
  /** Before it is on its way: what is cut now holds it back. */
  sent?(connection: SimConnection, request: PeerRequest): void
  /** At the receiver, before the answer is on its way. */
  answered?(connection: SimConnection, request: IncomingRequest, status: PeerStatus): void
}

const PEERS_MAX = 1_000

const CALM: Weather = { minDelayMs: 0.05, maxDelayMs: 0.4, spikeChance: 0.001, spikeMs: 40 }

/** The wires between all peers: who cannot hear whom, and how slowly the others do. */
export class SimNetwork {
  readonly loop: EventLoop
  readonly random: Random
  readonly tally: Tally
  readonly weather: Weather = { ...CALM }
  readonly taps = new Set<NetworkTap>()
  /** Bytes whose sender is gone, kept by its kernel until the wires are mended. */
  readonly orphans = new Set<SimConnection>()
  readonly #nodes = new Map<number, SimNode>()
  readonly #blocked = new Set<number>()

  constructor(loop: EventLoop, random: Random, tally: Tally) {
    this.loop = loop
    this.random = random
    this.tally = tally
  }

  /** A process comes up under a peer number; the one before it is gone. */
  attach(process: SimProcess, self: PeerIdentity): SimNode {
    const node = new SimNode(this, process, self)
    this.#nodes.set(self.peerNumber, node)
    return node
  }

  node(peerNumber: number): SimNode | undefined {
    return this.#nodes.get(peerNumber)
  }

  nodes(): SimNode[] {
    return [...this.#nodes.values()]
  }

  calmDown(): void {
    Object.assign(this.weather, CALM)
    this.heal()
  }

  /** Nothing that `from` sends reaches `to`, until healed. The other direction stays. */
  block(from: number, to: number): void {
    this.#blocked.add(pathOf(from, to))
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(pathOf(from, to))
  }

  heal(): void {
    this.#blocked.clear()
    for (const orphan of this.orphans) orphan.pathsChanged()
    this.orphans.clear()
    for (const node of this.#nodes.values()) node.pathsChanged()
  }

  delayMs(): number {
    const { minDelayMs, maxDelayMs, spikeChance, spikeMs } = this.weather
    const base = this.random.between(minDelayMs, maxDelayMs)
    return this.random.chance(spikeChance) ? base + this.random.between(0, spikeMs) : base
  }
}

function pathOf(from: number, to: number): number {
  return from * PEERS_MAX + to
}

/** One process on the network. */
export class SimNode implements PeerNetwork {
  readonly self: PeerIdentity
  readonly process: SimProcess
  readonly network: SimNetwork
  handler: PeerRequestHandler | null = null
  isClosed = false
  readonly #links = new Map<number, SimLink>()

  constructor(network: SimNetwork, process: SimProcess, self: PeerIdentity) {
    this.network = network
    this.process = process
    this.self = self
  }

  link(peerNumber: number): PeerLink {
    if (peerNumber === this.self.peerNumber) throw new SimulationError('a link to oneself')
    let link = this.#links.get(peerNumber)
    if (link === undefined) {
      link = new SimLink(this, peerNumber)
      this.#links.set(peerNumber, link)
      link.begin()
    }
    return link
  }

  serve(handler: PeerRequestHandler): void {
    if (this.handler !== null) throw new SimulationError('serve() is called once')
    this.handler = handler
  }

  /** Whoever connects is answered. */
  get isServing(): boolean {
    return this.process.alive && !this.isClosed && this.handler !== null
  }

  /** Its process ends every connection, and takes no other one. */
  close(): void {
    this.isClosed = true
    for (const link of this.#links.values()) link.close()
    for (const node of this.network.nodes()) {
      for (const link of node.links()) {
        if (link.peerNumber === this.self.peerNumber) link.otherEndGone(false)
      }
    }
  }

  links(): SimLink[] {
    return [...this.#links.values()]
  }

  pathsChanged(): void {
    for (const link of this.#links.values()) link.pathsChanged()
  }
}
