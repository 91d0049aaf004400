import { BlockStatus } from '../../../src/block/block-status.ts'
import { rangesOf } from '../../../src/control/layout.ts'
import { GroupedStore } from '../../../src/metadata/grouped-store.ts'
import { openReplication } from '../../../src/replication/open-replication.ts'
import type { ReplicatedExtents } from '../../../src/replication/owner/replicated-extents.ts'
import type {
  OwnedHere,
  Replication,
  ReplicationLog,
  VolumeServer,
} from '../../../src/replication/replication.ts'
import { SharedBudget } from '../../../src/replication/resync/shared-budget.ts'
import type { ClientIdentity } from '../../../src/volume/client-identity.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../../../src/volume/sanitize/sanitize-state.ts'
import type { VolumeHandle } from '../../../src/volume/volume.ts'
import { DaemonControl, settledStore } from '../layout/daemon-control.ts'
import { SimRegistration } from '../layout/sim-registration.ts'
import type { Front } from './front.ts'
import { GatewayFront } from './gateway-front.ts'
import { OwnerFront } from './owner-front.ts'
import { SimLease } from './sim-lease.ts'
import type { ClientConnection, Daemon, DaemonParts } from './sim-peer.ts'

const START_AGAIN_MS = 300
/** Ten minutes in the daemon: more than any fault but one keeps a peer away. */
export const RECREATE_AFTER_MS = 12_000
const COPIED_BYTES_PER_SECOND = 32 * 2 ** 20
const STATISTICS_EVERY_MS = 5_000
/** Where segments are cleared as early as they may: a minute of quiet in the daemon. */
const CLEAR_EVERY_MS = 200

/** The production classes, put together as the daemon does it, over the simulator's network, brick, clock and etcd. */
export function replicatedDaemon(parts: DaemonParts): Daemon {
  return new ReplicatedDaemon(parts)
}

class ReplicatedDaemon implements Daemon, VolumeServer {
  readonly control: DaemonControl | null
  readonly #parts: DaemonParts
  readonly #replication: Replication
  readonly #front: Front
  readonly #lease: SimLease
  readonly #counts: Record<string, number> = {}

  constructor(parts: DaemonParts) {
    this.#parts = parts
    const { node, brick, etcd, process, world } = parts
    const lease = new SimLease(parts)
    this.#lease = lease
    const say = (fields: object, message: string) => {
      if (world.trace.enabled) world.trace.say(process.name, `${message} ${brief(fields)}`)
    }
    const log = { info: say, warn: say, error: say }
    const stored = { parts, metadata: world.shape.sanitizes ? settledStore(parts) : etcd }
    this.#front = world.shape.gateways ? new GatewayFront(stored, log) : new OwnerFront(stored)
    this.control = world.shape.layout ? this.#openControl(log) : null
    this.#replication = openReplication({
      network: node,
      store: brick,
      metadata: new GroupedStore(etcd),
      timers: process,
      lease,
      config: { recreateAfterMs: RECREATE_AFTER_MS },
      ...(this.control === null ? {} : { planner: this.control }),
      budget: new SharedBudget(COPIED_BYTES_PER_SECOND, process),
      randomBytes: length => process.random.bytes(length),
      server: this,
      log,
      tellEvent: (kind, subject, message) => {
        this.#count(`event ${kind}`)
        if (kind === 'copy.done') this.#countCopy(message)
        if (world.trace.enabled) world.trace.say(process.name, `${kind} ${subject}: ${message}`)
      },
    })
    node.serve(this.#front.join(this.#replication))
    lease.begin()
    if (this.control !== null) new SimRegistration(parts, lease).begin()
    if (world.trace.enabled) this.#tellStatistics()
    if (world.shape.clearing) this.#clearSoon()
    void this.#start()
    void this.control?.begin()
  }

  get counts(): Readonly<Record<string, number>> {
    const { takeovers, ejections, fencesAnswered, staleRefused, regionsReconciled, blocksRepaired } =
      this.#replication.statistics()
    return {
      ...this.#counts,
      takeovers,
      ejections,
      'fences answered': fencesAnswered,
      'stale messages refused': staleRefused,
      'regions reconciled': regionsReconciled,
      'blocks repaired online': blocksRepaired,
    }
  }

  login(name: string, client: ClientIdentity, connection: ClientConnection): Promise<VolumeHandle> {
    return this.#front.login(name, client, connection)
  }

  reserve(
    name: string,
    client: ClientIdentity,
    action: ReservationAction,
  ): Promise<'done' | ReservationRefusal> {
    return this.#front.reserve(name, client, action)
  }

  sanitize(name: string, order: SanitizeOrder): Promise<boolean> {
    return this.#front.sanitize(name, order)
  }

  isSanitizing(name: string): boolean {
    const volume = this.#front.ownedVolume(name)
    return volume !== null && volume.sanitization.refusal !== BlockStatus.ok
  }

  async clearSegments(name: string, quietMs: number): Promise<void> {
    await this.#clear(name, quietMs)
  }

  authority(name: string): { epoch: number; ranges: number[] } | null {
    const owned = this.#replication.owned(name)
    if (owned === null || owned.ended) return null
    const now = this.#parts.process.bootMs()
    const mayRead = (range: number) => (owned.extents as ReplicatedExtents).classOf(range).readUntilMs > now
    return { epoch: owned.epoch, ranges: servedRanges(owned).filter(mayRead) }
  }

  servedBytes(name: string): number | null {
    return this.#front.ownedVolume(name)?.sizeBytes ?? null
  }

  async release(name: string): Promise<void> {
    if (this.#replication.owned(name) !== null) await this.#replication.release(name)
  }

  /** In the order of the daemon's closers. */
  async stop(): Promise<void> {
    await this.#replication[Symbol.asyncDispose]()
    await this.#lease.end()
  }

  // VolumeServer.

  async begin(owned: OwnedHere): Promise<void> {
    const { world, process } = this.#parts
    world.judge.owns(owned.name, owned.epoch, process.name, servedRanges(owned))
    await this.#front.begin(owned)
    for (const listener of world.epochListeners) listener(owned.name)
  }

  changed(owned: OwnedHere): void {
    this.#front.changed(owned)
  }

  lost(owned: OwnedHere, lossGeneration: number): void {
    this.#count('loss generation told')
    this.#parts.world.trace.say(this.#parts.process.name, `${owned.name} lost writes: ${lossGeneration}`)
    this.#front.lost(owned, lossGeneration)
  }

  end(owned: OwnedHere): Promise<void> {
    return this.#front.end(owned)
  }

  #openControl(log: ReplicationLog): DaemonControl {
    return new DaemonControl({
      parts: this.#parts,
      log,
      replication: () => this.#replication,
      follow: (name, head) => this.#front.follow(name, head),
    })
  }

  async #start(): Promise<void> {
    for (;;) {
      try {
        return await this.#replication.start()
      } catch {
        await new Promise<void>(resolve => this.#parts.process.after(START_AGAIN_MS, resolve))
      }
    }
  }

  /** What is owned here, all the time. */
  #clearSoon(): void {
    const { process, world } = this.#parts
    process.after(process.random.between(0, 2 * CLEAR_EVERY_MS), () => {
      this.#clearSoon()
      for (const { name } of world.volumes) {
        this.#clear(name, 0).then(
          cleared => this.#count('segments cleared at once', cleared),
          () => this.#count('clearing at once refused'),
        )
      }
    })
  }

  async #clear(name: string, quietMs: number): Promise<number> {
    const volume = this.#front.ownedVolume(name)
    return (await volume?.segments.clearQuiet(this.#parts.process.bootMs() - quietMs)) ?? 0
  }

  #tellStatistics(): void {
    const { process, world } = this.#parts
    for (const owned of this.#replication.statistics().owned) {
      const { name, epoch, inSync, rangesWaiting, regionsToReconcile, operationsInFlight } = owned
      const numbers = { epoch, inSync, rangesWaiting, regionsToReconcile, operationsInFlight }
      world.trace.say(process.name, `owns ${name} ${JSON.stringify(numbers)}`)
    }
    // Not a timer of the process: those draw from its random stream, and a trace must change nothing.
    world.loop.after(STATISTICS_EVERY_MS, () => {
      if (process.alive) this.#tellStatistics()
    })
  }

  #countCopy(message: string): void {
    const [kind] = message.split(' ')
    this.#count(`copy done: ${kind}`)
    const isReplaced = message.includes('in place of')
    if (kind === 'move' && isReplaced && this.control?.someoneDrains === false)
      this.#count('copy done: for balance')
  }

  #count(kind: string, count = 1): void {
    this.#counts[kind] = (this.#counts[kind] ?? 0) + count
  }
}

function servedRanges({ extents, head }: OwnedHere): number[] {
  const ranges = Array.from({ length: rangesOf(head.sizeBytes) }, (_, range) => range)
  return ranges.filter(range => (extents as ReplicatedExtents).classOf(range).served)
}

function brief(fields: object): string {
  return JSON.stringify(fields, (_key, value) => {
    if (value instanceof Error) return value.message
    return typeof value === 'bigint' ? String(value) : value
  })
}
