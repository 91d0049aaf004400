import type { ClientIdentity } from '../../src/volume/client-identity.ts'
import { Atomicity, describeTorn } from './checker/atomicity.ts'
import { AtomicWrites } from './clients/atomic-writes.ts'
import { OperationMaker, OperationNumbers } from './clients/operation-maker.ts'
import { Paths } from './clients/paths.ts'
import { Registrant } from './clients/registrant.ts'
import { Roaming } from './clients/roaming.ts'
import { SimClient, type Workload } from './clients/sim-client.ts'
import { SimHost } from './clients/sim-host.ts'
import type { StartDaemon } from './cluster/sim-peer.ts'
import { type Shape, shapeOf, World } from './cluster/world.ts'
import { ABSENCE_FAULTS } from './faults/absence.ts'
import { ATOMIC_FAULTS } from './faults/aimed-atomics.ts'
import { COPY_FAULTS, SHRINK_FAULTS } from './faults/aimed-copies.ts'
import { LAST_MEMBER_FAULTS, LAST_OWNER_FAULTS } from './faults/aimed-last.ts'
import { LOOK_FAULTS } from './faults/aimed-looks.ts'
import { LAYOUT_FAULTS } from './faults/aimed-moves.ts'
import { PATH_FAULTS } from './faults/aimed-paths.ts'
import { SANITIZE_FAULTS } from './faults/aimed-sanitizes.ts'
import { type AnyFaultKind, DISKS_LOST_KIND, Nemesis, ROLLBACK_KIND } from './faults/nemesis.ts'
import { recoverVolume } from './faults/operator.ts'
import { STOP_FAULTS } from './faults/stops.ts'
import { UNRECOVERABLE } from './kinds.ts'
import { layoutAtRest } from './layout/layout-at-rest.ts'
import { Operator } from './layout/operator.ts'
import { Random } from './world/random.ts'
import { Violation } from './world/violation.ts'

/** A seed's client operations and faults, at least. */
export const OPERATIONS_PER_SEED = 2_000
export const FAULTS_PER_SEED_MIN = 5
const FAULTS_PER_SEED_MAX = 11
/** Of faults that aim. */
const AIMS_PER_SEED = 3
/** Of clients that leave their gateway, where they have any to choose from. */
const MOVES_PER_SEED = 5
/** Of atomic writes, in the middle, where there are any. */
const CUTS_PER_SEED = 4
/** Where one replica is enough. */
const LAST_MEMBERS_PER_SEED = 2
/** Only an operator can recover what is left then. Few tries find everybody well. */
const DISKS_LOST_CHANCE = 0.03
const DISKS_LOST_TRIES = 6
/** On top, of seeds in which etcd is rolled back: that ends them. */
const ROLLBACK_OPERATIONS = 1_500
/** Of the layout, where operators change it: slower clients leave them the time. */
const CHANGES_PER_SEED = 5
const AIMS_AT_MOVES = 3
/** Of peers that are lost for good; few tries find enough others well. */
const REMOVAL_CHANCE = 0.3
const REMOVAL_TRIES = 4
/** Of the operations: early, since it takes half a minute. */
const ABSENCE_BEGINS = [0.05, 0.3] as const
const SLOW_THINK_MS = [40, 100, 200] as const
const MANY_NBD_CHANCE = 0.2
/** Of copies onto a disk that was emptied. */
const EMPTIED_CHANCE = 0.15
const LOOKS_PER_SEED = 3
const STOPS_PER_SEED = 3
const SANITIZES_PER_SEED = 3
/** Of gateways that have nothing of the volume, where hosts have several sessions. */
const LOST_PER_SEED = 3
const EMPTIED_TRIES = 3
const CLIENTS = 5
/** Those that are sessions of one initiator, where one has several; both of the same volume. */
const PATHS = [0, 4]

/** Time for the world to come up before the first fault, and to come to rest after the last. */
const LOOK_EVERY_MS = 211
const REST_MS_MAX = 180_000
const RUN_MS_MAX = 900_000
/** Whoever was about to come back has come back by then. */
const NEEDS_RECOVER_MS = 60_000
const ROLLED_BACK_MS = 25_000
const STORY_LINES = 14
const EVENTS_MAX = 3_000_000

export interface SeedOptions {
  readonly seed: number
  readonly start: StartDaemon
  readonly faults: readonly AnyFaultKind[]
  readonly shape?: Partial<Shape>
  readonly operations?: number
  /** Every line of the trace as it comes; null: none is made. */
  readonly print: ((line: string) => void) | null
  /** Whether all members must be back and equal in the end. */
  readonly mustSettle: boolean
}

export interface SeedResult {
  readonly seed: number
  /** null: every promise held. */
  readonly violation: { readonly rule: string; readonly message: string } | null
  readonly tally: Readonly<Record<string, number>>
  readonly virtualMs: number
  readonly events: number
  /** Changes with every decision of the run: two runs of a seed must have the same. */
  readonly fingerprint: string
}

/** Runs one seed from beginning to end. Must be called from a macrotask; it blocks until the end. */
export function runSeed(options: SeedOptions): SeedResult {
  const { seed, start, print, operations = OPERATIONS_PER_SEED } = options
  const shape = shapeOf(seed, options.shape)
  const world = new World(seed, shape, start, print)
  let violation: SeedResult['violation'] = null
  const failed = (error: unknown) => {
    if (violation !== null) return
    violation =
      error instanceof Violation
        ? { rule: error.rule, message: error.message }
        : { rule: 'crash', message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    world.loop.stop()
  }
  world.broken = failed
  process.on('unhandledRejection', failed)
  try {
    new Run(world, options, operations).begin()
    const end = world.loop.run({ untilMs: RUN_MS_MAX, events: EVENTS_MAX })
    if (violation === null && end !== 'stopped')
      throw new Violation('I15', `the run never came to rest (${end})`)
    if (violation === null) {
      world.reservations?.closeWhatWasFenced()
      world.sanitizes?.closeWhatWasErased()
      checkHistory(world)
    }
  } catch (error) {
    failed(error)
  } finally {
    process.off('unhandledRejection', failed)
  }
  for (const peer of world.peers) world.countInside(peer)
  return {
    seed,
    violation,
    tally: world.tally.counts,
    virtualMs: Math.round(world.loop.nowMs),
    events: world.loop.events,
    fingerprint: `${world.loop.events}-${world.loop.nowMs.toFixed(6)}-${world.etcd.revision}-${world.random.next32()}`,
  }
}

/** What happens when so many operations have begun. */
interface Strike {
  readonly at: number
  readonly strike: () => void
}

/** The course of one seed: clients work, faults strike, everything is mended, everything must come right. */
class Run {
  readonly #world: World
  readonly #options: SeedOptions
  readonly #nemesis: Nemesis
  readonly #random: Random
  readonly #operations: number
  readonly #roaming: Roaming
  readonly #operator: Operator
  readonly #strikes: Strike[] = []
  #taken = 0
  #mendedAtMs = 0
  #needsRecoverSinceMs: number | null = null

  constructor(world: World, options: SeedOptions, operations: number) {
    this.#world = world
    this.#options = options
    // Where one replica is enough a change of the sets may be known to that one alone, and nobody else misses it.
    const { rollback, minReplicas } = world.shape
    const rollsBack = rollback && minReplicas > 1 && options.faults.includes(ROLLBACK_KIND)
    this.#operations = rollsBack ? operations + ROLLBACK_OPERATIONS : operations
    this.#random = new Random(world.seed, 'run')
    this.#nemesis = new Nemesis(world, options.faults)
    const count = FAULTS_PER_SEED_MIN + this.#random.below(FAULTS_PER_SEED_MAX - FAULTS_PER_SEED_MIN + 1)
    this.#plan(count, this.#random, () => this.#nemesis.strike())
    const random = new Random(world.seed, 'aims')
    for (let i = 0; i < AIMS_PER_SEED; i++) {
      const at = Math.floor(((i + random.between(0.1, 0.9)) / AIMS_PER_SEED) * this.#operations)
      this.#strikes.push({ at, strike: () => this.#nemesis.aim() })
    }
    if (world.shape.atomics) {
      const cuts = new Random(world.seed, 'atomic cuts')
      this.#plan(CUTS_PER_SEED, cuts, () => this.#nemesis.aimOneOf(ATOMIC_FAULTS, cuts))
    }
    if (world.shape.minReplicas === 1 && world.shape.replicas > 1) {
      const last = new Random(world.seed, 'last members')
      this.#plan(LAST_MEMBERS_PER_SEED, last, () => this.#nemesis.aimOneOf(LAST_MEMBER_FAULTS, last))
      const lone = new Random(world.seed, 'last owners')
      if (world.shape.gateways)
        this.#plan(LAST_MEMBERS_PER_SEED, lone, () => this.#nemesis.aimOneOf(LAST_OWNER_FAULTS, lone))
    }
    const looks = new Random(world.seed, 'looks faults')
    if (world.shape.looks) this.#plan(LOOKS_PER_SEED, looks, () => this.#nemesis.aimOneOf(LOOK_FAULTS, looks))
    const paths = new Random(world.seed, 'paths faults')
    if (world.shape.sessions)
      this.#plan(LOST_PER_SEED, paths, () => this.#nemesis.aimOneOf(PATH_FAULTS, paths))
    const sanitizes = new Random(world.seed, 'sanitize faults')
    if (world.shape.sanitizes)
      this.#plan(SANITIZES_PER_SEED, sanitizes, () => this.#nemesis.aimOneOf(SANITIZE_FAULTS, sanitizes))
    const stops = new Random(world.seed, 'clean stops')
    if (world.shape.stops) this.#plan(STOPS_PER_SEED, stops, () => this.#nemesis.aimOneOf(STOP_FAULTS, stops))
    const emptied = new Random(world.seed, 'emptied disks')
    if (emptied.chance(EMPTIED_CHANCE))
      this.#plan(EMPTIED_TRIES, emptied, () => this.#nemesis.aimOneOf(COPY_FAULTS, emptied))
    const lost = new Random(world.seed, 'disks lost')
    if (!world.shape.layout && lost.chance(DISKS_LOST_CHANCE) && options.faults.includes(DISKS_LOST_KIND))
      this.#plan(DISKS_LOST_TRIES, lost, () => this.#nemesis.loseDisks(lost))
    if (rollsBack) this.#planRollback(new Random(world.seed, 'backup'))
    this.#roaming = new Roaming(world)
    if (world.shape.gateways)
      this.#plan(MOVES_PER_SEED, new Random(world.seed, 'moves'), () => this.#roaming.strike())
    this.#operator = new Operator(world)
    world.shrink = (volume, replicas) => this.#operator.shrink(volume, replicas)
    if (world.shape.layout) this.#planLayout()
    this.#strikes.sort((a, b) => a.at - b.at)
  }

  #planLayout(): void {
    const random = new Random(this.#world.seed, 'layout changes')
    this.#plan(CHANGES_PER_SEED, random, () => this.#operator.strike())
    this.#plan(AIMS_AT_MOVES, random, () => this.#nemesis.aimOneOf(LAYOUT_FAULTS, random))
    const shrink = new Random(this.#world.seed, 'shrink fault')
    this.#plan(1, shrink, () => this.#nemesis.aimOneOf(SHRINK_FAULTS, shrink))
    const removal = new Random(this.#world.seed, 'removal')
    if (removal.chance(REMOVAL_CHANCE))
      this.#plan(REMOVAL_TRIES, removal, () => this.#operator.loseOne(removal))
    if (!this.#world.shape.absence) return
    const absence = new Random(this.#world.seed, 'absence fault')
    const at = Math.floor(absence.between(...ABSENCE_BEGINS) * this.#operations)
    this.#strikes.push({ at, strike: () => this.#nemesis.aimOneOf(ABSENCE_FAULTS, absence) })
  }

  begin(): void {
    const world = this.#world
    for (const peer of world.peers) peer.start()
    const numbers = new OperationNumbers()
    if (world.sanitizes !== null) world.sanitizes.nextNumber = () => numbers.next()
    const workload: Workload = { take: () => this.#take(), thinkMs: this.#thinkMs() }
    // All of NBD is one writer: more of them take each other's streams away, again and again.
    const { gateways } = world.shape
    const nbdClients = gateways && !new Random(world.seed, 'nbd').chance(MANY_NBD_CHANCE) ? 1 : 2
    const atomics = world.volumes.map(volume =>
      world.shape.atomics
        ? new AtomicWrites(volume, new Random(world.seed, `atomics ${volume.index}`))
        : null,
    )
    const host = new SimHost()
    const { sessions } = world.shape
    for (let i = 0; i < CLIENTS; i++) {
      const volume = world.volumes[i % world.volumes.length]!
      const random = new Random(world.seed, `client ${i}`)
      const name = `c${i}`
      const looks = world.shape.looks ? new Random(world.seed, `looks of ${name}`) : null
      const maker = new OperationMaker(volume, random, numbers, atomics[volume.index]!, looks)
      const isPath = sessions && PATHS.includes(i)
      const identity = isPath
        ? { ...identityOf(`c${PATHS[0]}`, false), isid: `00000000000${i}` }
        : identityOf(name, i % 2 === 1 && (i === 1 || nbdClients > 1))
      const of = isPath ? host : new SimHost()
      world.clients.push(new SimClient(world, name, identity, volume, maker, workload, random, of))
    }
    if (world.shape.reservations) this.#letHostsFence()
    if (sessions) {
      const paths = PATHS.map(i => world.clients[i]!)
      world.paths = new Paths(world, paths)
    }
    if (world.shape.aborts) {
      for (const client of world.clients.filter(isInitiator))
        client.aborts = new Random(world.seed, `aborts of ${client.name}`)
    }
    for (const client of world.clients) client.begin()
    this.#nemesis.operate()
    this.#look()
  }

  #letHostsFence(): void {
    const world = this.#world
    const judge = world.reservations!
    for (const client of world.clients) {
      const hosts = world.clients.filter(other => other.volume === client.volume)
      const keys = [...new Set(hosts.filter(isInitiator).map(other => keyOf(world, other)))]
      if (!isInitiator(client)) continue
      const random = new Random(world.seed, `registrant ${client.name}`)
      client.registrant = new Registrant(world, client, random, judge, keyOf(world, client), keys)
    }
  }

  #plan(count: number, random: Random, strike: () => void): void {
    for (let i = 0; i < count; i++) {
      this.#strikes.push({ at: Math.floor(random.between(0.06, 0.97) * this.#operations), strike })
    }
  }

  /** The backup is made in the last third of the other operations, and is restored after all of them: faults go on. */
  #planRollback(random: Random): void {
    const end = this.#operations - ROLLBACK_OPERATIONS
    const backupAt = Math.floor(random.between(0.67, 1) * end)
    const restoreAt = end + random.below(ROLLBACK_OPERATIONS / 5)
    let restore = () => {}
    const backUp = () => {
      restore = this.#nemesis.backUp()
    }
    this.#strikes.push({ at: backupAt, strike: backUp }, { at: restoreAt, strike: () => restore() })
  }

  #thinkMs(): number {
    return this.#random.pick(this.#world.shape.layout ? SLOW_THINK_MS : [2, 15, 40])
  }

  #take(): boolean {
    if (this.#taken >= this.#operations) return false
    this.#taken++
    while (this.#strikes.length > 0 && this.#taken >= this.#strikes[0]!.at) {
      const { strike } = this.#strikes.shift()!
      this.#world.loop.after(0, strike)
    }
    return true
  }

  #look(): void {
    const { loop, judge, clients } = this.#world
    judge.look()
    loop.after(LOOK_EVERY_MS, () => this.#look())
    if (this.#isLost() || this.#isRolledBack()) return this.#end()
    if (this.#taken < this.#operations) return
    if (this.#mendedAtMs === 0) {
      this.#mendedAtMs = loop.nowMs
      this.#roaming.end()
      this.#world.paths?.end()
      this.#nemesis.calm()
      return
    }
    const busy = clients.filter(client => client.isBusy)
    const unsettled = this.#options.mustSettle ? this.#unsettled() : null
    if (busy.length === 0 && unsettled === null) return this.#end()
    if (loop.nowMs - this.#mendedAtMs > REST_MS_MAX) {
      const waits = busy.map(client => client.name).join(' ')
      throw new Violation(
        'I15',
        `no rest ${REST_MS_MAX / 1000} s after everything was mended: ${unsettled ?? waits}`,
      )
    }
  }

  #unsettled(): string | null {
    const world = this.#world
    if (world.shape.layout && this.#operator.isBusy) return 'a command of an operator has not succeeded'
    const sanitizing = world.volumes.find(({ name }) =>
      world.peers.some(({ daemon }) => daemon?.isSanitizing(name)),
    )
    if (sanitizing !== undefined) return `${sanitizing.name} is being sanitized`
    return world.judge.settled() ?? (world.shape.layout ? layoutAtRest(world) : null)
  }

  /** Whoever could serve again by an older state of etcd has tried by then; whether anybody may is no promise. */
  #isRolledBack(): boolean {
    const { loop, judge } = this.#world
    return judge.rolledBackAtMs !== null && loop.nowMs - judge.rolledBackAtMs > ROLLED_BACK_MS
  }

  /** Whether no operator can help either. */
  #isLost(): boolean {
    const { loop, judge, tally } = this.#world
    const waiting = judge.needRecover()
    if (waiting.length === 0) this.#needsRecoverSinceMs = null
    else this.#needsRecoverSinceMs ??= loop.nowMs
    if (this.#needsRecoverSinceMs === null || loop.nowMs - this.#needsRecoverSinceMs < NEEDS_RECOVER_MS)
      return false
    if (waiting.every(volume => recoverVolume(this.#world, volume))) return false
    tally.add(UNRECOVERABLE)
    return true
  }

  #end(): void {
    this.#world.loop.stop()
  }
}

function isInitiator({ identity }: SimClient): boolean {
  return identity.protocol === 'iscsi'
}

/** Of the host: the same by all its sessions. */
function keyOf({ clients }: World, { identity }: SimClient): bigint {
  const isSame = (other: SimClient) =>
    other.identity.protocol === 'iscsi' &&
    identity.protocol === 'iscsi' &&
    other.identity.initiatorName === identity.initiatorName
  return BigInt(clients.findIndex(isSame) + 1)
}

function identityOf(name: string, isNbd: boolean): ClientIdentity {
  if (isNbd) return { protocol: 'nbd', name }
  const initiatorName = `iqn.2026-11.test:${name}`
  return { protocol: 'iscsi', initiatorName, isid: '000000000001', targetPortalGroupTag: 1 }
}

function checkHistory(world: World): void {
  checkAtomicity(world)
  const found = world.history.contradiction()
  if (found === null) return
  const { volume, sector, at, story } = found
  const end = story.indexOf(at.label) + 4
  const around = story.slice(Math.max(0, end - STORY_LINES), end).map(line => `\n    ${line}`)
  throw new Violation(
    'I4',
    `sector ${sector} of vol-${volume}: no order explains ${at.label}${around.join('')}`,
  )
}

function checkAtomicity({ history, judge, tally, volumes }: World): void {
  const atomicity = new Atomicity(history.operations, volume => history.lossesMs(volume))
  const torn = [
    atomicity.tornForReaders(),
    ...(tally.counts[UNRECOVERABLE] || judge.rolledBackAtMs !== null ? [] : volumes).map(volume =>
      atomicity.tornAtRest(volume.index, sector => judge.contentAtRest(volume, sector)),
    ),
  ].find(one => one !== null)
  if (torn != null) throw new Violation('I4', describeTorn(torn))
}
