import type { BlockOperation } from '../../../src/block/block-operation.ts'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import { registrantName } from '../../../src/volume/reservations/reservation-state.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { type ClientOperation, isChange } from '../checker/history.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { Daemon, SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import type { Random } from '../world/random.ts'
import type { SimProcess } from '../world/sim-process.ts'
import { Violation } from '../world/violation.ts'
import { DaemonSide } from './daemon-side.ts'
import type { OperationMaker } from './operation-maker.ts'
import type { Registrant } from './registrant.ts'
import { SimHost, type Unknown } from './sim-host.ts'

const WIRE_MS_MIN = 0.05
const WIRE_MS_MAX = 0.5
/** A host gives up a connection on which an operation was not answered for so long. */
const IMPATIENT_MS = 6_000
/** Longer than a gateway keeps what it cannot pass on. */
const PATIENT_MS = 40_000
const LOGIN_MS_MAX = 3_000
const ABORT_CHANCE = 0.1
const LOGIN_AGAIN_MS = 120
const READER_THINKS_MS = 100
const STAYS_CHANCE = 0.3
const WANTED_MS = 2_000
/** It asks again this often whether a volume can be used that is being sanitized. */
const SANITIZING_THINK_MS = 500

/** A connection of a client to one run of a daemon. */
export interface Session {
  readonly peer: SimPeer
  readonly process: SimProcess
  readonly daemon: Daemon
  readonly identity: ClientIdentity
  /** As reservations name it. */
  readonly nexus: string
  readonly atDaemon: DaemonSide
  open: boolean
  /** Arrival time of the newest byte, each way. */
  lastToMs: number
  lastFromMs: number
  readonly inFlight: Set<ClientOperation>
}

/** What all clients of a run still have to do. */
export interface Workload {
  /** One operation may begin. */
  take(): boolean
  readonly thinkMs: number
}

/** A host: logs in at one gateway after another, keeps a few operations in flight, remembers what it was told. */
export class SimClient {
  readonly identity: ClientIdentity
  readonly name: string
  readonly volume: TestedVolume
  /** A gateway that it cannot reach at present. */
  avoids: SimPeer | null = null
  /** Where hosts fence each other. */
  registrant: Registrant | null = null
  /** Where hosts take single commands back. */
  aborts: Random | null = null
  readonly #world: World
  readonly #host: SimHost
  readonly #random: Random
  readonly #maker: OperationMaker
  readonly #workload: Workload
  readonly #depth: number
  #patienceMs: number
  #session: Session | null = null
  #loggingIn = false
  #avoided: SimPeer | null = null
  #wanted: SimPeer | null = null
  #readerThinksMs = READER_THINKS_MS
  #stopped = false
  /** It was asked to end this one. */
  #leaving: Session | null = null
  /** Operations whose turn has come. */
  #idle: number

  constructor(
    world: World,
    name: string,
    identity: ClientIdentity,
    volume: TestedVolume,
    maker: OperationMaker,
    workload: Workload,
    random: Random,
    host = new SimHost(),
  ) {
    this.#world = world
    this.#host = host
    this.name = name
    this.identity = identity
    this.volume = volume
    this.#maker = maker
    this.#workload = workload
    this.#random = random
    this.#depth = 1 + random.below(4)
    this.#patienceMs = world.shape.gateways && random.chance(0.5) ? PATIENT_MS : IMPATIENT_MS
    this.#idle = this.#depth
  }

  get isBusy(): boolean {
    return (this.#session?.inFlight.size ?? 0) > 0
  }

  get changesInFlight(): number {
    return [...(this.#session?.inFlight ?? [])].filter(({ kind }) => isChange(kind)).length
  }

  /** Whether its connection is to this daemon. */
  isAt(peer: SimPeer): boolean {
    return this.#session?.peer === peer
  }

  /** Slowly, so that a run has operations left for what others do. */
  onlyReads(on: boolean, thinkMs = READER_THINKS_MS): void {
    this.#maker.readsOnly = on
    this.#readerThinksMs = thinkMs
  }

  /** Another session of its host changes things meanwhile. */
  standsBy(on: boolean): void {
    this.#maker.standsBy = on
  }

  /** While it is fenced it only reads. */
  fence(isFenced: boolean): void {
    this.#maker.isFenced = isFenced
  }

  begin(): void {
    this.#logIn()
  }

  /** PERSISTENT RESERVE OUT by the connection that it has. Never answered if that ends first. */
  reserve(
    action: ReservationAction,
    answered: (outcome: 'done' | ReservationRefusal | 'unknown') => void,
  ): void {
    const session = this.#session!
    const told = (outcome: 'done' | ReservationRefusal | 'unknown') =>
      this.#fromDaemon(session, () => answered(outcome))
    this.#toDaemon(session, () => {
      if (session.atDaemon.isDropped) return
      session.daemon.reserve(this.volume.name, session.identity, action).then(told, () => told('unknown'))
    })
  }

  stop(): void {
    this.#stopped = true
  }

  /** The daemon that its connection goes to. */
  get gateway(): SimPeer | null {
    return this.#session?.peer ?? null
  }

  /** Cuts its connection and begins anew, here or elsewhere, but not at `avoided`. */
  move(avoided: SimPeer | null = null): void {
    this.#avoided = avoided
    if (this.#session !== null) this.#close(this.#session)
    this.#logIn()
  }

  /** Its next login is there, if that daemon takes it soon; from now on it waits for answers for long. */
  goTo(peer: SimPeer): void {
    this.#wanted = peer
    this.#patienceMs = PATIENT_MS
    this.#world.loop.after(WANTED_MS, () => {
      this.#wanted = null
    })
    this.move()
  }

  /** It was asked to log out: it sends nothing more there, and goes elsewhere when everything is answered. Some do not. */
  leave(peer: SimPeer): void {
    if (this.#session?.peer !== peer || this.#random.chance(STAYS_CHANCE)) return
    this.#leaving = this.#session
    this.#leaveWhenIdle()
  }

  #leaveWhenIdle(): void {
    const session = this.#session
    if (session === null || session !== this.#leaving || session.inFlight.size > 0) return
    this.#leaving = null
    this.move()
  }

  daemonGone(peer: SimPeer): void {
    const session = this.#session
    if (session?.peer !== peer) return
    this.#world.loop.after(this.#wireMs(), () => {
      if (this.#session !== session) return
      this.#close(session)
      this.#logIn()
    })
  }

  #logIn(): void {
    if (this.#loggingIn || this.#session !== null || this.#stopped) return
    this.#loggingIn = true
    const { loop } = this.#world
    const again = () => {
      this.#loggingIn = false
      loop.after(this.#random.between(0.2, 1.5) * LOGIN_AGAIN_MS, () => this.#logIn())
    }
    const peer = this.#wanted ?? this.#random.pick(this.#world.peers.filter(one => one !== this.#avoided))
    if (peer === this.avoids) return again()
    const { parts, daemon } = peer
    if (parts === null || daemon === null || peer.isStopping) return again()
    const { process } = parts
    const identity = throughPeer(this.identity, peer)
    const session: Session = {
      peer,
      process,
      daemon,
      identity,
      nexus: identity.protocol === 'iscsi' ? registrantName(identity, identity.targetPortalGroupTag) : '',
      atDaemon: new DaemonSide(),
      open: true,
      lastToMs: 0,
      lastFromMs: 0,
      inFlight: new Set(),
    }
    let answered = false
    loop.after(LOGIN_MS_MAX, () => {
      if (answered) return
      answered = true
      session.open = false
      again()
    })
    const refused = () =>
      this.#fromDaemon(session, () => {
        if (answered) return
        answered = true
        again()
      })
    const accepted = (handle: VolumeHandle) => {
      session.atDaemon.handle = handle
      // The client gave up before the daemon was through: it hears of the end of the connection now.
      if (!session.open) void handle.close()
      this.#fromDaemon(session, () => {
        if (answered) return
        answered = true
        this.#loggingIn = false
        this.#begun(session)
      })
    }
    this.#toDaemon(session, () => {
      const drop = () => this.#dropped(session)
      const abortTasks = () => session.atDaemon.abortTasks()
      daemon.login(this.volume.name, identity, { drop, abortTasks }).then(accepted, refused)
    })
  }

  #begun(session: Session): void {
    this.#session = session
    this.#host.told(this.#world.loop.nowMs)
    this.#world.tally.add('login')
    this.#world.trace.say(this.name, `logged in at ${session.process.name}`)
    this.#avoided = null
    // An owner has just been found by a new one; a gateway has just ended the former session here.
    const isHere = (former: Session) => !this.#world.shape.gateways || former.process === session.process
    this.#end(unknown => unknown.client === this && isHere(unknown.session))
    this.registrant?.loggedIn(session.nexus)
    const idle = this.#idle
    this.#idle = 0
    for (let i = 0; i < idle; i++) this.#later()
  }

  /** What is unknown can have no effect from now on. */
  #end(isOver: (unknown: Unknown) => boolean): void {
    const over = this.#host.unknown.filter(isOver)
    const { nowMs } = this.#world.loop
    for (const { operation } of over) operation.closedMs = Math.min(operation.closedMs, nowMs)
    this.#host.unknown = this.#host.unknown.filter(unknown => !over.includes(unknown))
  }

  /** In the daemon. */
  #dropped(session: Session): void {
    session.atDaemon.isDropped = true
    this.#fromDaemon(session, () => {
      this.#close(session)
      this.#logIn()
    })
  }

  #close(session: Session): void {
    if (this.#session === session) {
      this.#session = null
      this.registrant?.loggedOut()
    }
    session.open = false
    for (const operation of session.inFlight) this.#neverAnswered(operation, session)
    session.inFlight.clear()
    session.process.post(Math.max(0, session.lastToMs - this.#world.loop.nowMs) + this.#wireMs(), () => {
      void session.atDaemon.handle?.close()
    })
  }

  #neverAnswered(operation: ClientOperation, session: Session): void {
    operation.outcome = 'unknown'
    if (operation.value !== 0 || (operation.kind !== 'read' && operation.kind !== 'look'))
      this.#isUnknown(operation, session)
    this.#idle++
    this.#world.tally.add('operation never answered')
  }

  #isUnknown(operation: ClientOperation, session: Session): void {
    this.#host.unknown.push({ operation, client: this, session, sinceMs: this.#world.loop.nowMs })
  }

  #later(): void {
    const thinkMs =
      (this.#maker.readsOnly ? this.#readerThinksMs : this.#workload.thinkMs) * this.#random.between(0, 2)
    this.#world.loop.after(thinkMs, () => this.#next())
  }

  #next(): void {
    const session = this.#session
    if (session === null || session === this.#leaving) {
      this.#idle++
      return
    }
    if (this.#stopped || !this.#workload.take()) {
      this.#idle++
      return
    }
    const made = this.#maker.make(this.name, this.#world.loop.nowMs)
    const { operation, block } = made
    operation.nexus = session.nexus
    this.#world.history.began(operation)
    session.inFlight.add(operation)
    this.#world.tally.add(`client ${operation.kind}`)
    const ended = () => {
      const { status, failedAtBytes } = block
      this.#fromDaemon(session, () => this.#answered(session, operation, block, status, failedAtBytes))
    }
    this.#toDaemon(session, () => session.atDaemon.arrived(operation, block, ended))
    if (this.aborts?.chance(ABORT_CHANCE)) this.#abortSoon(session, operation, block, this.aborts)
    this.#world.loop.after(this.#patienceMs, () => {
      if (!session.open || !session.inFlight.has(operation)) return
      this.#world.trace.say(this.name, `${describe(operation)} was not answered in time`)
      this.#close(session)
      this.#logIn()
    })
  }

  /** ABORT TASK: the command ends as it was going to, or as aborted, with nothing done of it. */
  #abortSoon(session: Session, operation: ClientOperation, block: BlockOperation, random: Random): void {
    this.#world.loop.after(random.chance(0.7) ? random.between(0, 3) : random.between(0, 4_000), () => {
      if (!session.open || !session.inFlight.has(operation)) return
      this.#world.tally.add('client abort')
      this.#toDaemon(session, () => session.atDaemon.abort(block))
    })
  }

  #answered(
    session: Session,
    operation: ClientOperation,
    block: BlockOperation,
    status: BlockStatus,
    failedAtBytes: number,
  ): void {
    if (!session.inFlight.delete(operation)) return
    const { judge, loop, trace } = this.#world
    operation.respondedMs = loop.nowMs
    if (trace.enabled) trace.say(this.name, `${describe(operation)}: ${nameOf(status)}`)
    if (status === BlockStatus.ok) {
      operation.outcome = 'ok'
      this.#accepted(operation, block)
      if (isChange(operation.kind)) this.#end(unknown => isOverBefore(unknown, this, session, operation))
    } else {
      operation.outcome = isUntouched(operation, status) ? 'refused' : 'unknown'
      if (status === BlockStatus.writesLost) this.#host.told(loop.nowMs)
      if (operation.outcome === 'unknown') this.#isUnknown(operation, session)
      if (status === BlockStatus.mediumError && operation.kind === 'read')
        judge.mediumError(operation, failedAtBytes)
    }
    this.#maker.ended(operation)
    this.#world.reservations?.answered(operation, status)
    this.#world.sanitizes?.answered(operation, status)
    this.registrant?.answered(status)
    this.#world.tally.add(
      status === BlockStatus.ok ? 'operation done' : `operation refused ${nameOf(status)}`,
    )
    if (status === BlockStatus.unavailable) {
      this.#idle++
      this.#close(session)
      this.#world.loop.after(this.#random.between(1, LOGIN_AGAIN_MS), () => this.#logIn())
    } else {
      if (status === BlockStatus.sanitizing)
        loop.after(this.#random.between(0, 2) * SANITIZING_THINK_MS, () => this.#next())
      else this.#later()
      this.#leaveWhenIdle()
    }
  }

  #accepted(operation: ClientOperation, block: BlockOperation): void {
    const { judge, history, tally } = this.#world
    if (isChange(operation.kind)) this.#host.changed(operation)
    if (operation.kind === 'read') {
      const bad = history.found(operation, block.data)
      if (bad !== null) {
        throw new Violation(
          'I12',
          `${this.name} #${operation.id} read in sector ${bad} of ${this.volume.name} what nobody wrote there`,
        )
      }
    } else if (operation.kind === 'look') tally.add('look answered')
    else if (operation.kind === 'flush') {
      judge.flushAcknowledged(operation)
      if (this.#hearsOfLosses) this.#host.flushed(operation, history.losses(this.volume.index))
    } else judge.writeAcknowledged(operation)
  }

  /** By the answer to a flush: NBD by the end of its connection, and owners alone tell nobody here. */
  get #hearsOfLosses(): boolean {
    const { judge, shape } = this.#world
    return shape.gateways && this.identity.protocol === 'iscsi' && judge.rolledBackAtMs === null
  }

  #toDaemon(session: Session, fn: () => void): void {
    const { loop } = this.#world
    session.lastToMs = Math.max(session.lastToMs + 0.001, loop.nowMs + this.#wireMs())
    loop.at(session.lastToMs, () => session.process.run(fn))
  }

  #fromDaemon(session: Session, fn: () => void): void {
    const { loop } = this.#world
    session.lastFromMs = Math.max(session.lastFromMs + 0.001, loop.nowMs + this.#wireMs())
    loop.at(session.lastFromMs, () => {
      if (session.open) fn()
    })
  }

  #wireMs(): number {
    return this.#random.between(WIRE_MS_MIN, WIRE_MS_MAX)
  }
}

/**
 * PROTOCOL rule 17: what came by another gateway ends before a change by this one begins, if the host had given it up by
 * then. By the same gateway only a session of the same name ends the one before it.
 */
function isOverBefore(
  unknown: Unknown,
  client: SimClient,
  session: Session,
  { invokedMs }: ClientOperation,
): boolean {
  if (unknown.session === session || unknown.sinceMs > invokedMs) return false
  return unknown.client === client || unknown.session.process !== session.process
}

/** Statuses that promise that nothing was touched. What has several steps promises less. */
function isUntouched(operation: ClientOperation, status: BlockStatus): boolean {
  if (!isChange(operation.kind)) return true
  if (status === BlockStatus.aborted || status === BlockStatus.miscompare) return true
  if (status === BlockStatus.sanitizing) return true
  if (status === BlockStatus.outOfRange || status === BlockStatus.reservationConflict) return true
  return status === BlockStatus.noSpace && (operation.kind === 'write' || operation.kind === 'writeAtomic')
}

/** Each daemon has a target portal group of its own: nexuses through two of them are two registrants. */
function throughPeer(identity: ClientIdentity, { number }: SimPeer): ClientIdentity {
  return identity.protocol === 'iscsi' ? { ...identity, targetPortalGroupTag: number } : identity
}

function nameOf(status: BlockStatus): string {
  return Object.entries(BlockStatus).find(([, value]) => value === status)?.[0] ?? String(status)
}

function describe({ id, kind, firstSector, sectors, value }: ClientOperation): string {
  return `#${id} ${kind} ${firstSector}+${sectors} = ${value}`
}
