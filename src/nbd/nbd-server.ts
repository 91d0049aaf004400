import { IoStats } from '../lib/io-stats.ts'
import { PassTimer } from '../lib/pass-timer.ts'
import { BufferPool } from '../net/buffer-pool.ts'
import { BusyPoll } from '../net/busy-poll.ts'
import { type Clock, systemClock } from '../net/clock.ts'
import { FaultCounters } from '../net/fault-counters.ts'
import { FlushQueue } from '../net/flush-queue.ts'
import { type Logger, silentLogger } from '../net/logger.ts'
import { Portal } from '../net/portal.ts'
import { EARLY_SEND_BYTES, SlabPool } from '../net/slab-output.ts'
import { TurnQueue } from '../net/turn.ts'
import { type ListenerTls, NbdConnection, type NbdSurroundings } from './connection.ts'
import type { ExportDirectory } from './export-directory.ts'
import {
  defaultNbdLimits,
  type NbdLimits,
  POOL_RETAINED_BYTES_MAX,
  RECEIVE_BUFFER_BYTES,
  SHORT_RECEIVE_BYTES,
  SLABS_KEPT_MAX,
  TICK_MS,
  TRANSMIT_SLAB_BYTES,
} from './limits.ts'
import { type NbdSession, sessionOf } from './nbd-session.ts'

export interface NbdServerOptions {
  readonly exports: ExportDirectory
  readonly limits?: Partial<NbdLimits>
  readonly logger?: Logger
  readonly clock?: Clock
  /** Receive by 'data' events although Node's private socket handle is there. */
  readonly receiveByEvents?: boolean
}

/** The sessions that a kick means: all given fields must match. */
export interface NbdSessionFilter {
  readonly id?: string
  readonly client?: string
  readonly export?: string
}

const NO_TLS: ListenerTls = { mode: 'off', material: null }

/** An NBD server: listeners, connections, sessions. The NBD protocol document, newstyle only. */
export class NbdServer {
  /** What clients did wrong and why connections ended, counted by reason. */
  readonly faults = new FaultCounters()
  readonly #limits: NbdLimits
  readonly #clock: Clock
  readonly #surroundings: NbdSurroundings
  readonly #portals: Portal[] = []
  readonly #connections = new Set<NbdConnection>()
  /** Volumes that closed connections have not let go of. */
  readonly #releasing = new Set<Promise<void>>()
  readonly #stopTicking: () => void
  readonly #stopListening: () => void
  /** By export: what connections counted that are closed now. */
  readonly #pastStats = new Map<string, IoStats>()
  #connectionsSeen = 0
  #stopping = false

  constructor(options: NbdServerOptions) {
    this.#limits = { ...defaultNbdLimits, ...options.limits }
    this.#clock = options.clock ?? systemClock
    const receiveBuffer = Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES)
    this.#surroundings = {
      directory: options.exports,
      limits: this.#limits,
      receiveBuffer,
      shortReceiveBuffer: receiveBuffer.subarray(0, SHORT_RECEIVE_BYTES),
      pool: new BufferPool(POOL_RETAINED_BYTES_MAX),
      slabs: new SlabPool(TRANSMIT_SLAB_BYTES, SLABS_KEPT_MAX, EARLY_SEND_BYTES),
      flushQueue: new FlushQueue(),
      turns: new TurnQueue(),
      busyPoll: new BusyPoll(() => performance.now()),
      timer: new PassTimer(() => this.#clock.nowMs()),
      clock: this.#clock,
      faults: this.faults,
      logger: options.logger ?? silentLogger,
      receiveByEvents: options.receiveByEvents ?? false,
      stopping: () => this.#stopping,
    }
    this.#stopTicking = this.#clock.repeat(TICK_MS, () => this.#tick())
    this.#stopListening = options.exports.onChange(names => this.#endForbidden(names))
  }

  /** Opens the next listener; answers its address. Rejects with the system's error when it cannot be had. */
  async listen(host: string, port: number, tls: ListenerTls = NO_TLS): Promise<string> {
    const portal = this.#portal(tls)
    await portal.listen(host, port)
    this.#portals.push(portal)
    return portal.address
  }

  /** Opens a Unix socket. Rejects with the system's error when the path cannot be had. */
  async listenUnix(path: string, tls: ListenerTls = NO_TLS): Promise<string> {
    const portal = this.#portal(tls)
    await portal.listenUnix(path)
    this.#portals.push(portal)
    return portal.address
  }

  /** Listening addresses and paths in the order of listen() and listenUnix(). */
  get addresses(): readonly string[] {
    return this.#portals.map(portal => portal.address)
  }

  /** Connections in the transmission phase. */
  sessions(): NbdSession[] {
    return [...this.#connections].flatMap(connection => sessionOf(connection) ?? [])
  }

  /** Counters by export: of the connections that are open, and sums of those that were. */
  *exportStats(): Generator<readonly [name: string, stats: IoStats]> {
    yield* this.#pastStats
    for (const session of this.sessions()) yield [session.export, session.stats]
  }

  /** Closes the sessions that match; answers how many once nothing of them is in flight. */
  async kick(filter: NbdSessionFilter): Promise<number> {
    const matching = [...this.#connections].filter(connection => {
      const session = sessionOf(connection)
      if (session === null) return false
      const { id, client } = filter
      return (
        (id === undefined || session.id === id) &&
        (client === undefined || session.client === client) &&
        (filter.export === undefined || session.export === filter.export)
      )
    })
    for (const connection of matching) connection.close('kicked')
    await Promise.all(matching.map(connection => connection.released))
    return matching.length
  }

  /**
   * No new connections; new requests are answered ESHUTDOWN; what is in flight ends. After `limits.stopGraceMs`
   * the connections that are left are closed. Resolves when every volume has been let go of.
   */
  async stop(): Promise<void> {
    this.#stopping = true
    for (const portal of this.#portals) portal.close()
    const deadlineMs = this.#clock.nowMs() + this.#limits.stopGraceMs
    while ([...this.#connections].some(connection => !connection.stop())) {
      if (this.#clock.nowMs() >= deadlineMs) break
      await new Promise(resolve => setTimeout(resolve, STOP_LOOK_MS))
    }
    for (const connection of this.#connections) connection.close('stopping')
    await Promise.all(this.#releasing)
    this.#stopTicking()
    this.#stopListening()
  }

  #portal(tls: ListenerTls): Portal {
    return new Portal(this.#portals.length, (socket, portal) => {
      if (this.#stopping || this.#connections.size >= this.#limits.connectionsMax) {
        this.faults.count('tooManyConnections')
        socket.destroy()
        return
      }
      const closed = (connection: NbdConnection) => this.#closed(connection)
      const id = ++this.#connectionsSeen
      this.#connections.add(new NbdConnection(id, socket, portal.address, tls, this.#surroundings, closed))
    })
  }

  #closed(connection: NbdConnection): void {
    const { released } = connection
    this.#connections.delete(connection)
    this.#keepStats(connection)
    this.#releasing.add(released)
    void released.then(() => this.#releasing.delete(released))
  }

  /** Who was allowed to open an export may have lost that since. */
  #endForbidden(names: ReadonlySet<string> | null): void {
    for (const connection of [...this.#connections]) {
      const name = connection.transmission?.agreement.export.name
      if (name === undefined || names?.has(name) === false) continue
      const { found } = this.#surroundings.directory.find(name, connection.client)
      if (found === 'no') connection.close('accessRevoked')
    }
  }

  #keepStats({ transmission }: NbdConnection): void {
    if (transmission === null) return
    const { name } = transmission.agreement.export
    const past = this.#pastStats.get(name) ?? new IoStats()
    past.add(transmission.stats)
    // What is in flight still ends, and is nobody's any more.
    past.inFlight = 0
    this.#pastStats.set(name, past)
    const oldest = this.#pastStats.keys().next().value
    if (this.#pastStats.size > PAST_EXPORTS_MAX && oldest !== undefined) this.#pastStats.delete(oldest)
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs()
    for (const connection of this.#connections) connection.tick(nowMs)
  }
}

const STOP_LOOK_MS = 20
/** Exports whose counters are kept after their last connection. */
const PAST_EXPORTS_MAX = 4096
