import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import { invariant } from '../lib/invariant.ts'
import type { SessionInfo } from '../lib/session-info.ts'
import { BufferPool } from '../net/buffer-pool.ts'
import { BusyPoll } from '../net/busy-poll.ts'
import { type Clock, systemClock } from '../net/clock.ts'
import { FaultCounters } from '../net/fault-counters.ts'
import { FlushQueue } from '../net/flush-queue.ts'
import { type Logger, silentLogger } from '../net/logger.ts'
import { Portal } from '../net/portal.ts'
import { EARLY_SEND_BYTES, SlabPool } from '../net/slab-output.ts'
import { TurnQueue } from '../net/turn.ts'
import { Connection, type ConnectionSurroundings } from './connection.ts'
import { SLOTS_MAX } from './data-out.ts'
import {
  defaultLimits,
  IMMEDIATE_COMMANDS_MAX,
  type IscsiLimits,
  POOL_RETAINED_BYTES_MAX,
  RECEIVE_BUFFER_BYTES,
  SLABS_KEPT_MAX,
  TICK_MS,
} from './limits.ts'
import { LoginNegotiation } from './login/login-negotiation.ts'
import { defaultLoginParameters, type LoginParameters } from './login/login-parameters.ts'
import { LoginPhase } from './login-phase.ts'
import { Session } from './session.ts'
import { sessionInfo } from './session-info.ts'
import { SessionRegistry } from './session-registry.ts'
import type { TargetDirectory } from './target-directory.ts'
import { SLAB_ROOM_BYTES } from './transmit-slab.ts'

export interface IscsiTargetOptions {
  readonly directory: TargetDirectory
  readonly limits?: Partial<IscsiLimits>
  readonly parameters?: Partial<LoginParameters>
  readonly logger?: Logger
  readonly clock?: Clock
  readonly randomBytes?: (lengthBytes: number) => Buffer
  /** Receive by 'data' events although Node's private socket handle is there. */
  readonly receiveByEvents?: boolean
}

/** The sessions that a kick means: all given fields must match. */
export interface SessionFilter {
  readonly id?: string
  readonly initiator?: string
  readonly target?: string
}

/** An iSCSI target node: portals, connections and sessions. RFC 7143, ErrorRecoveryLevel 0, MaxConnections 1. */
export class IscsiTarget {
  /** What peers did wrong and why connections ended, counted by reason. */
  readonly faults = new FaultCounters()
  readonly #directory: TargetDirectory
  readonly #limits: IscsiLimits
  readonly #parameters: LoginParameters
  readonly #logger: Logger
  readonly #clock: Clock
  readonly #randomBytes: (lengthBytes: number) => Buffer
  readonly #surroundings: ConnectionSurroundings
  readonly #registry: SessionRegistry
  readonly #portals: Portal[] = []
  readonly #connections = new Set<Connection>()
  readonly #stopTicking: () => void
  #whenAllClosed: (() => void) | null = null

  constructor(options: IscsiTargetOptions) {
    this.#directory = options.directory
    this.#limits = { ...defaultLimits, ...options.limits }
    invariant(
      this.#limits.commandsPerSessionMax + IMMEDIATE_COMMANDS_MAX <= SLOTS_MAX,
      'a transfer tag can name every task of a session',
    )
    this.#parameters = { ...defaultLoginParameters, ...options.parameters }
    this.#logger = options.logger ?? silentLogger
    this.#clock = options.clock ?? systemClock
    this.#randomBytes = options.randomBytes ?? randomBytes
    const shared = { clock: this.#clock, faults: this.faults, logger: this.#logger }
    const pool = new BufferPool(POOL_RETAINED_BYTES_MAX)
    this.#surroundings = {
      ...shared,
      pool,
      receiveBuffer: Buffer.allocUnsafeSlow(RECEIVE_BUFFER_BYTES),
      slabs: new SlabPool(SLAB_ROOM_BYTES, SLABS_KEPT_MAX, EARLY_SEND_BYTES),
      flushQueue: new FlushQueue(),
      turns: new TurnQueue(),
      busyPoll: new BusyPoll(() => performance.now()),
      receiveByEvents: options.receiveByEvents ?? false,
    }
    this.#registry = new SessionRegistry({
      ...shared,
      pool,
      directory: this.#directory,
      limits: this.#limits,
    })
    this.#stopTicking = this.#clock.repeat(TICK_MS, () => this.#tick())
  }

  /** Opens the next portal; answers its address. Rejects with the system's error when it cannot be had. */
  async listen(host: string, port: number): Promise<string> {
    const portal = new Portal(this.#portals.length, (socket, from) => this.#accept(socket, from))
    await portal.listen(host, port)
    this.#portals.push(portal)
    return portal.address
  }

  /** Listening addresses in the order of listen(). */
  get addresses(): readonly string[] {
    return this.#portals.map(portal => portal.address)
  }

  /** Sessions in full feature phase, discovery sessions included. */
  sessions(): SessionInfo[] {
    return [...this.#registry.all()].map(session => sessionInfo(session))
  }

  /** Sessions with their counters, for metrics. */
  liveSessions(): IterableIterator<Session> {
    return this.#registry.all()
  }

  /** Ends the sessions that match, telling their initiators; answers how many once nothing of them is in flight. */
  async kick(filter: SessionFilter): Promise<number> {
    const matching = [...this.#registry.all()].filter(session => {
      const { id, initiator, target } = filter
      return (
        (id === undefined || String(session.id) === id) &&
        (initiator === undefined || session.outcome.initiatorName === initiator) &&
        (target === undefined || session.target?.name === target)
      )
    })
    await Promise.all(
      matching.map(session => new Promise<void>(resolve => session.dismiss('kicked', resolve))),
    )
    return matching.length
  }

  /** Asks all initiators to log out within so many seconds, so that they log in anew; those who stay are served. */
  suggestLogout(withinSeconds: number): void {
    for (const session of this.#registry.all())
      if (session.target !== null) session.suggestLogout(withinSeconds)
  }

  /**
   * No new connections and commands; initiators are asked to log out; what is in flight ends. After
   * `limits.stopGraceMs` the connections that are left are closed. Resolves when all sessions have ended.
   */
  async stop(): Promise<void> {
    for (const portal of this.#portals) portal.close()
    for (const connection of this.#connections) {
      if (!(connection.phase instanceof Session)) connection.close('stopping')
    }
    const seconds = Math.ceil(this.#limits.stopGraceMs / 1000)
    for (const session of this.#registry.all()) session.askForLogout(seconds)
    await this.#within(this.#limits.stopGraceMs, this.#allClosed())
    for (const connection of this.#connections) connection.close('stopping')
    await this.#registry.empty()
    this.#stopTicking()
  }

  #accept(socket: net.Socket, portal: Portal): void {
    if (this.#connections.size >= this.#limits.connectionsMax) {
      this.faults.count('tooManyConnections')
      socket.destroy()
      return
    }
    const connection = new Connection(socket, this.#surroundings, closed => this.#closed(closed))
    this.#connections.add(connection)
    const contact = { listener: portal.listener, localAddress: connection.localAddress }
    const negotiation = new LoginNegotiation({
      directory: this.#directory,
      contact,
      parameters: this.#parameters,
      commandWindow: this.#limits.commandsPerSessionMax,
      randomBytes: this.#randomBytes,
      sessionStatus: identity => this.#registry.sessionStatus(identity),
    })
    const login = new LoginPhase(
      connection,
      negotiation,
      (outcome, decided) => this.#registry.admit(outcome, connection, contact, decided),
      targetName => this.#directory.isAbsent(targetName),
      session => connection.enter(session),
      this.#clock.nowMs() + this.#limits.loginTimeoutMs,
    )
    connection.enter(login)
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#whenAllClosed?.()
  }

  #allClosed(): Promise<void> {
    if (this.#connections.size === 0) return Promise.resolve()
    return new Promise(resolve => {
      this.#whenAllClosed = resolve
    })
  }

  #within(limitMs: number, wanted: Promise<void>): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, limitMs)
      void wanted.then(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs()
    for (const connection of this.#connections) connection.tick(nowMs)
  }
}
