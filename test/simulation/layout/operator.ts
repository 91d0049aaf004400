import { fencesNeeded, RANGE_BYTES } from '../../../src/control/layout.ts'
import type { TestedVolume } from '../checker/judge.ts'
import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import { Random } from '../world/random.ts'
import type { DaemonControl } from './daemon-control.ts'

const MIB = 2 ** 20
const GROWTHS_MAX = 2
/** Of a peer that was taken out, and of its disk by then. */
const RETURN_CHANCE = 0.6
const EMPTIED_CHANCE = 0.3
const AGAIN_MS = [200, 1_500] as const
/** What a dead daemon had sent to etcd has been applied by then, or never will be. */
const LATE_MS = 6_000
const LOOK_EVERY_MS = 50

/** Every change of the layout, by the name under which a run counts it. */
const DRAWN_KINDS = ['drain', 'undrain', 'add', 'replicas', 'grow'] as const
type LayoutKind = (typeof DRAWN_KINDS)[number]
export const LAYOUT_KINDS = [...DRAWN_KINDS, 'remove'] as const

/** A command of an operator: which daemon carries it out does not matter. */
interface Command {
  readonly what: string
  readonly run: (control: DaemonControl) => Promise<void>
  readonly done?: () => void
}

/** Drains and adds peers, changes R, and lets volumes grow: one command at a time, each until a daemon says done. */
export class Operator {
  readonly #world: World
  readonly #random: Random
  readonly #draining = new Set<SimPeer>()
  readonly #replicas: number[]
  readonly #growths: number[]
  readonly #waiting: Command[] = []
  #isBusy = false

  constructor(world: World) {
    this.#world = world
    this.#random = new Random(world.seed, 'operator')
    this.#replicas = world.volumes.map(() => world.shape.replicas)
    this.#growths = world.volumes.map(() => 0)
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  /** One more change. */
  strike(): void {
    const makers: Record<LayoutKind, () => Command | null> = {
      drain: () => this.#drain(),
      undrain: () => this.#undrain(),
      add: () => this.#add(),
      replicas: () => this.#setReplicas(),
      grow: () => this.#grow(),
    }
    for (const kind of this.#random.shuffled(DRAWN_KINDS)) {
      const command = makers[kind]()
      if (command === null) continue
      this.#world.tally.add(`layout ${kind}`)
      this.#waiting.push(command)
      return this.#next()
    }
  }

  /**
   * A peer is lost and taken out by force; what it held is made anew elsewhere. It may be let in again under its name, as
   * it was or with an empty disk.
   */
  loseOne(random: Random): void {
    const taking = this.#taking()
    if (this.#isBusy || this.#waiting.length > 0 || taking.length <= Math.max(...this.#replicas)) return
    const peer = random.pick(taking)
    if (!this.#canSpare(peer)) return
    const { name } = peer.machine
    this.#world.tally.add('layout remove')
    peer.retire()
    this.#waiting.push({ what: `remove ${name}`, run: control => control.remove(peer) })
    if (random.chance(RETURN_CHANCE)) {
      if (random.chance(EMPTIED_CHANCE)) peer.disk.empty()
      this.#waiting.push(this.#admission(peer))
    }
    this.#next()
  }

  /**
   * In every range all others are in sync and well, and as many as a new owner has to fence; and nobody is leaving, since
   * who stays may be the one that is lost.
   */
  #canSpare(lost: SimPeer): boolean {
    const { peers, judge, volumes } = this.#world
    const well = peers.filter(peer => peer !== lost && peer.isReachable && peer.parts?.brick.failure === null)
    const uuids = well.map(({ disk }) => disk.uuid)
    return volumes.every(volume => {
      const view = judge.view(volume)
      if (view === undefined || view.placed.some(bricks => bricks.length > view.head.replicas)) return false
      return view.members.every(set => {
        const needed = Math.max(fencesNeeded(view.head, set.length), set.length - 1)
        return set.filter(uuid => uuids.includes(uuid)).length >= needed
      })
    })
  }

  /** Takes replicas away, one unless told how many remain. */
  shrink({ index, name }: TestedVolume, replicas = this.#replicas[index]! - 1): void {
    if (replicas < 1 || replicas >= this.#replicas[index]!) return
    this.#replicas[index] = replicas
    this.#world.tally.add('layout replicas')
    const what = `${replicas} replicas of ${name}`
    this.#waiting.push({ what, run: control => control.setReplicas(name, replicas) })
    this.#next()
  }

  #drain(): Command | null {
    const taking = this.#taking()
    if (taking.length <= Math.max(...this.#replicas)) return null
    const peer = this.#random.pick(taking)
    this.#draining.add(peer)
    return { what: `drain ${peer.machine.name}`, run: control => control.setDraining(peer, true) }
  }

  #undrain(): Command | null {
    if (this.#draining.size === 0) return null
    const peer = this.#random.pick([...this.#draining])
    this.#draining.delete(peer)
    return { what: `undrain ${peer.machine.name}`, run: control => control.setDraining(peer, false) }
  }

  #add(): Command | null {
    const peer = this.#world.peers.find(one => !one.isOfCluster)
    if (peer === undefined || this.#waiting.length > 0) return null
    return this.#admission(peer)
  }

  #admission(peer: SimPeer): Command {
    return {
      what: `add ${peer.machine.name}`,
      run: control => control.admit(peer),
      done: () => {
        peer.isOfCluster = true
        peer.start()
      },
    }
  }

  #setReplicas(): Command | null {
    const volume = this.#random.pick(this.#world.volumes)
    const most = Math.min(3, this.#taking().length)
    const wanted = [1, 2, 2, 3, 3].filter(count => count !== this.#replicas[volume.index] && count <= most)
    if (wanted.length === 0) return null
    const replicas = this.#random.pick(wanted)
    this.#replicas[volume.index] = replicas
    const what = `${replicas} replicas of ${volume.name}`
    return { what, run: control => control.setReplicas(volume.name, replicas) }
  }

  #grow(): Command | null {
    const able = this.#world.volumes.filter(({ index }) => this.#growths[index]! < GROWTHS_MAX)
    // The size that it has then is what is known now.
    if (able.length === 0 || this.#waiting.length > 0 || this.#isBusy) return null
    const volume = this.#random.pick(able)
    this.#growths[volume.index]!++
    const sizeBytes = this.#largerThan(volume)
    return {
      what: `${volume.name} to ${sizeBytes / MIB} MiB`,
      run: control => control.resize(volume.name, sizeBytes),
      done: () => this.#world.grown(volume, sizeBytes),
    }
  }

  /** Within its last range, or into the next one. */
  #largerThan({ sizeBytes }: TestedVolume): number {
    const next = Math.ceil(sizeBytes / RANGE_BYTES) * RANGE_BYTES
    return this.#random.chance(0.3) ? sizeBytes + 16 * MIB : next + 16 * MIB
  }

  #taking(): SimPeer[] {
    return this.#world.peers.filter(peer => peer.isOfCluster && !this.#draining.has(peer))
  }

  #next(): void {
    if (this.#isBusy || this.#waiting.length === 0) return
    this.#isBusy = true
    this.#attempt(this.#waiting.shift()!)
  }

  #attempt(command: Command): void {
    const { peers, loop, trace } = this.#world
    const again = () => loop.after(this.#random.between(...AGAIN_MS), () => this.#attempt(command))
    const able = peers.filter(peer => peer.daemon?.control?.isOpen === true)
    if (able.length === 0) return void again()
    const peer = this.#random.pick(able)
    const process = peer.process!
    trace.say('operator', `${command.what}, at ${process.name}`)
    let isOver = false
    const end = (then: () => void) => {
      if (!isOver) then()
      isOver = true
    }
    const watch = () => {
      if (isOver) return
      if (process.alive) loop.after(LOOK_EVERY_MS, watch)
      else end(() => loop.after(LATE_MS, () => this.#attempt(command)))
    }
    process.run(() =>
      command.run(peer.daemon!.control!).then(
        () => end(() => this.#done(command)),
        error => {
          trace.say('operator', `${command.what} failed: ${error}`)
          end(again)
        },
      ),
    )
    watch()
  }

  #done(command: Command): void {
    this.#world.trace.say('operator', `${command.what}: done`)
    this.#isBusy = false
    command.done?.()
    this.#next()
  }
}
