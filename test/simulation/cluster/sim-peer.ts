import type { PeerIdentity } from '../../../src/replication/peer-network.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { SimBrick } from '../brick/sim-brick.ts'
import { healthy, SimDisk } from '../brick/sim-disk.ts'
import { SimEtcdClient } from '../etcd/sim-etcd-client.ts'
import type { DaemonControl } from '../layout/daemon-control.ts'
import type { SimNode } from '../network/sim-network.ts'
import { Random } from '../world/random.ts'
import { Machine, SimProcess } from '../world/sim-process.ts'
import type { World } from './world.ts'

/** Everything that one process of the product is made of here. */
export interface DaemonParts {
  readonly world: World
  readonly peer: SimPeer
  readonly process: SimProcess
  readonly node: SimNode
  readonly brick: SimBrick
  readonly etcd: SimEtcdClient
  /** The thread that keeps the lease alive, with a connection to etcd of its own. */
  readonly heartbeat: { readonly thread: SimProcess; readonly etcd: SimEtcdClient }
}

/** A client's connection as the daemon has it. */
export interface ClientConnection {
  /** The daemon closes it, and reads nothing more of what the client sent. */
  drop(): void
  /** Takes back what the client has sent; resolves when none of it can have an effect any more. */
  abortTasks(): Promise<void>
}

/** A running daemon, as clients and the nemesis use it. */
export interface Daemon {
  /** A client's way to a volume; rejects when this daemon does not serve it now. */
  login(volume: string, client: ClientIdentity, connection: ClientConnection): Promise<VolumeHandle>
  /** PERSISTENT RESERVE OUT. Rejects when whether it was carried out is unknown. */
  reserve(
    volume: string,
    client: ClientIdentity,
    action: ReservationAction,
  ): Promise<'done' | ReservationRefusal>
  /** SANITIZE: false while one runs already. Rejects when whether it was begun is unknown. */
  sanitize(volume: string, order: SanitizeOrder): Promise<boolean>
  /** It owns the volume and refuses everybody meanwhile. */
  isSanitizing(volume: string): boolean
  /** Orders segments without a write for so long to be cleared, where this daemon may. */
  clearSegments(volume: string, quietMs: number): Promise<void>
  /** Gives up what it owns, as before an upgrade. */
  release(volume: string): Promise<void>
  /** What it does when it is asked to end, once its clients are gone. */
  stop(): Promise<void>
  /** Under which epoch it owns a volume, and which ranges of it it may read now; null: it does not own it. */
  authority(volume: string): { readonly epoch: number; readonly ranges: readonly number[] } | null
  /** The size of a volume as this daemon serves it; null: it does not own it. */
  servedBytes(volume: string): number | null
  /** Null where nobody changes the layout. */
  readonly control: DaemonControl | null
  /** How often each thing happened that only the inside can count. */
  readonly counts: Readonly<Record<string, number>>
}

/** What clients are given to log out, and the other parts of a stop all together. Longer ones end by SIGKILL. */
const LOGOUT_MS = 800
const STOP_MS_MAX = 20_000

export interface StopOptions {
  /** Until it is started again, however it ended. */
  readonly downMs: number
  /** Its machine is switched off meanwhile. */
  readonly reboots: boolean
  /** Called when its process has ended by itself. */
  readonly ended?: () => void
}

export type StartDaemon = (parts: DaemonParts) => Daemon

/** A machine with a disk on which a daemon runs, dies, and runs again. */
export class SimPeer {
  readonly number: number
  readonly peerId: string
  readonly machine: Machine
  readonly disk: SimDisk
  parts: DaemonParts | null = null
  daemon: Daemon | null = null
  /** It was let in: else nobody starts it. */
  isOfCluster: boolean
  readonly #world: World
  readonly #start: StartDaemon
  #incarnation = 0
  /** Nobody logs in there any more. */
  isStopping = false

  constructor(world: World, number: number, isOfCluster: boolean, start: StartDaemon) {
    this.#world = world
    this.#start = start
    this.number = number
    this.isOfCluster = isOfCluster
    const random = new Random(world.seed, `machine ${number}`)
    this.peerId = random.uuid()
    this.machine = new Machine(`m${number}`, world.loop, random)
    this.disk = new SimDisk(random, world.tally, this.machine.bootId)
  }

  get process(): SimProcess | null {
    return this.parts?.process ?? null
  }

  get isRunning(): boolean {
    return this.process?.alive === true
  }

  /** Its process runs, and nothing is cut between it and the others. */
  get isReachable(): boolean {
    if (!this.isRunning || this.isStopping || this.process!.paused || this.parts!.etcd.trouble.cut)
      return false
    const { network } = this.#world
    return this.#world.peers.every(
      other => !network.isBlocked(this.number, other.number) && !network.isBlocked(other.number, this.number),
    )
  }

  start(): void {
    if (this.isRunning || !this.machine.isUp || !this.isOfCluster) return
    const { loop, network, etcd, seed, tally, judge } = this.#world
    const name = `p${this.number}.${++this.#incarnation}`
    const random = new Random(seed, name)
    const process = new SimProcess(name, this.machine, loop, random)
    this.isStopping = false
    this.disk.openCounter++
    const brick = new SimBrick(this.disk, process, tally, judge)
    const self: PeerIdentity = {
      clusterId: this.#world.clusterId,
      peerId: this.peerId,
      peerNumber: this.number,
      brickUuid: this.disk.uuid,
      openCounter: this.disk.openCounter,
      bootId: this.machine.bootId,
      incarnation: random.uuid(),
    }
    const client = new SimEtcdClient(etcd, process)
    const thread = process.thread('heartbeat', new Random(seed, `${name} heartbeat`))
    const heartbeat = { thread, etcd: new SimEtcdClient(etcd, thread, client.trouble) }
    const node = network.attach(process, self)
    this.parts = { world: this.#world, peer: this, process, node, brick, etcd: client, heartbeat }
    this.#world.registerBrick(this)
    this.daemon = this.#start(this.parts)
    this.#world.trace.say(name, `started, brick ${brick.state}`)
  }

  /** kill -9: the machine lives on, so what was in the page cache stays, and its kernel says that the ends are gone. */
  kill(silently = false): void {
    const { parts } = this
    if (parts === null || !parts.process.alive) return
    this.#world.trace.say(parts.process.name, silently ? 'vanished' : 'killed')
    parts.brick.killed()
    this.#mendWhatMayBeTorn()
    this.#gone(parts, silently)
  }

  /** SIGTERM: clients log out or are cut off, what is owned is let go, links and brick are closed, in this order. */
  stop({ downMs, reboots, ended = () => {} }: StopOptions): void {
    const { parts } = this
    if (parts === null || !parts.process.alive || this.isStopping) return
    const { loop, tally, trace } = this.#world
    this.isStopping = true
    trace.say(parts.process.name, 'is asked to stop')
    const again = () => void loop.after(downMs, () => (reboots ? this.powerOn() : this.start()))
    void this.#stop(parts).then(() => {
      if (this.parts !== parts) return
      trace.say(parts.process.name, `stopped${this.disk.cleanlyClosed ? ' cleanly' : ''}`)
      if (!this.disk.cleanlyClosed) this.#mendWhatMayBeTorn()
      this.#gone(parts, false)
      if (reboots) this.losePower()
      again()
      ended()
    })
    loop.after(STOP_MS_MAX, () => {
      if (this.parts !== parts) return
      tally.add('stop took too long')
      this.kill()
      again()
    })
  }

  async #stop(parts: DaemonParts): Promise<void> {
    const { clients } = this.#world
    const { brick, node, process } = parts
    const pause = (ms: number) => new Promise<void>(resolve => process.post(ms, resolve))
    for (const client of clients) client.leave(this)
    for (let ms = 0; ms < LOGOUT_MS && clients.some(client => client.isAt(this)); ms++) await pause(1)
    for (const client of clients) client.daemonGone(this)
    await pause(1)
    await this.daemon?.stop()
    node.close()
    await brick.stop()
  }

  #gone(parts: DaemonParts, silently: boolean): void {
    parts.process.end()
    parts.etcd.detach()
    parts.heartbeat.etcd.detach()
    this.#world.countInside(this)
    for (const node of this.#world.network.nodes()) {
      for (const link of node.links()) if (link.peerNumber === this.number) link.otherEndGone(silently)
    }
    for (const link of parts.node.links()) link.senderGone()
    for (const client of this.#world.clients) client.daemonGone(this)
    this.parts = null
    this.daemon = null
  }

  /**
   * When its process has ended nothing tells a block that rotted in the midst of writes from a torn write. Where the others
   * lose it, or have only a part of a newer write of it, it is lost, which is no bug.
   */
  #mendWhatMayBeTorn(): void {
    for (const image of this.disk.images.values()) {
      const mended = image.mendWhatMayBeTorn()
      if (mended > 0) this.#world.tally.add('rot taken back: as good as a torn write', mended)
    }
  }

  /** Its machine is gone for good, or until it is let in again. */
  retire(): void {
    this.kill(true)
    this.isOfCluster = false
  }

  losePower(): void {
    this.kill(true)
    this.machine.isUp = false
    this.disk.losePower()
  }

  powerOn(): void {
    if (this.machine.isUp) return
    this.machine.boot()
    this.start()
  }

  heal(): void {
    const { freeRegions } = this.disk.trouble
    Object.assign(this.disk.trouble, healthy(), { freeRegions: Math.max(freeRegions, 10_000) })
    this.powerOn()
    this.process?.resume()
    this.start()
    this.parts?.etcd.calmDown()
    // A brick whose disk failed is opened anew by whoever replaced the cable.
    if (this.parts !== null && this.parts.brick.failure !== null) {
      this.kill()
      this.start()
    }
  }
}
