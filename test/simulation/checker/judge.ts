import { RANGE_BYTES } from '../../../src/control/layout.ts'
import type { BrickWitness, SimBrick } from '../brick/sim-brick.ts'
import type { SimDisk } from '../brick/sim-disk.ts'
import { BLOCK_BYTES, type VolumeImage } from '../brick/volume-image.ts'
import type { SimEtcd } from '../etcd/sim-etcd.ts'
import type { SimNetwork } from '../network/sim-network.ts'
import type { EventLoop } from '../world/event-loop.ts'
import { Violation } from '../world/violation.ts'
import { SECTOR_BYTES, sectorValueQuick } from './content.ts'
import type { ClientOperation, History } from './history.ts'
import { type LayoutView, viewOf } from './layout-view.ts'
import { MemberComparison } from './member-comparison.ts'
import { MessageJudge } from './message-judge.ts'
import { RevisionJudge } from './revision-judge.ts'

const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES

/** A volume under test and the blocks of it that clients use: it may grow. */
export interface TestedVolume {
  readonly index: number
  readonly name: string
  readonly uuid: string
  sizeBytes: number
  blocks: readonly number[]
}

export interface JudgedPeer {
  readonly number: number
  readonly disk: SimDisk
  /** Of the process that has the disk open; null while none does. */
  readonly brick: SimBrick | null
  /** Its machine has not lost power since, its process runs and can be reached by everybody. */
  readonly isReachable: boolean
  /** Whether its process may read some of these ranges under an epoch below this one, by what it was promised. */
  mayRead(volume: string, belowEpoch: number, ranges: readonly number[]): boolean
}

export interface Judged {
  readonly loop: EventLoop
  readonly etcd: SimEtcd
  readonly volumes: readonly TestedVolume[]
  readonly network: SimNetwork
  readonly peers: readonly JudgedPeer[]
  /** Ends the run. What is found inside of calls of the code under test is not thrown: it might be caught there. */
  broken(violation: Violation): void
}

/**
 * Sees everything at once, as nobody in the world can, and holds the invariants of PROTOCOL.md against it: at each
 * revision of etcd, at each acknowledgement, and every now and then. Which one is kept where: docs/simulation.md.
 */
export class Judge implements BrickWitness {
  readonly history: History
  readonly #world: Judged
  readonly #views = new Map<string, LayoutView>()
  /** Per brick and sector, when each value was last applied. */
  readonly #applied = new Map<string, Map<number, number>>()
  readonly #descriptors = new Map<string, { epoch: number; setVersion: number }>()
  readonly #owners = new Map<string, string>()
  readonly #rotted = new Set<string>()
  readonly #messages: MessageJudge
  readonly #comparison: MemberComparison
  readonly #revisions: RevisionJudge
  /** Newest epoch of a volume, and when it was taken. */
  readonly #epochs = new Map<string, { readonly epoch: number; readonly atMs: number }>()
  readonly #lossGenerations = new Map<string, number>()
  /** Since when etcd says less than daemons know: what is compared with its sets means nothing any more. */
  rolledBackAtMs: number | null = null

  constructor(world: Judged, history: History) {
    this.#world = world
    this.history = history
    world.etcd.listeners.unshift(() => this.#revisionMade())
    this.#messages = new MessageJudge(world, volume => this.#views.get(volume.name)?.members ?? [])
    world.network.taps.add(this.#messages)
    this.#revisions = new RevisionJudge(world, history)
    this.#comparison = new MemberComparison(world, (name, epoch) => this.#messages.isServed(name, epoch))
  }

  /** Epoch and loss generation may rise as they do only by an operator's word. PROTOCOL rule 25. */
  recovers(volume: TestedVolume, change: () => void): void {
    this.#views.delete(volume.name)
    change()
  }

  /** Etcd was restored from a backup. PROTOCOL rule 1: nobody may serve by it who would serve other sets. */
  rolledBack(): void {
    this.rolledBackAtMs = this.#world.loop.nowMs
    this.#views.clear()
  }

  view(volume: TestedVolume): LayoutView | undefined {
    return this.#views.get(volume.name)
  }

  applied(brick: SimBrick, uuid: string, block: number, data: Buffer): void {
    const volume = this.#world.volumes.find(one => one.uuid === uuid)
    if (volume === undefined) return
    for (let i = 0; i < SECTORS_PER_BLOCK; i++) {
      const key = appliedKey(brick.uuid, volume.index, block * SECTORS_PER_BLOCK + i)
      let values = this.#applied.get(key)
      if (values === undefined) {
        values = new Map()
        this.#applied.set(key, values)
      }
      const value = sectorValueQuick(data, i * SECTOR_BYTES)
      values.set(value, this.#world.loop.nowMs)
      if (value !== 0) this.#checkReplaced(brick, volume, block * SECTORS_PER_BLOCK + i, value)
    }
  }

  /** I5: what an acknowledged write replaced does not come back on a member. */
  #checkReplaced(brick: SimBrick, volume: TestedVolume, sector: number, value: number): void {
    if (!this.history.isReplaced(volume.index, sector, value)) return
    const range = Math.floor((sector * SECTOR_BYTES) / RANGE_BYTES)
    if (this.#views.get(volume.name)?.members[range]?.includes(brick.uuid) !== true) return
    const where = `sector ${sector} of ${volume.name} on member ${brick.uuid.slice(0, 8)}`
    this.#world.broken(new Violation('I5', `#${value} takes effect in ${where} after it was replaced`))
  }

  /** I1: what a brick has persisted never falls, whatever happened to it in between. */
  descriptorPersisted(brick: SimBrick, uuid: string, epoch: number, setVersion: number): void {
    const key = `${brick.uuid}/${uuid}`
    const before = this.#descriptors.get(key)
    if (
      before !== undefined &&
      !brick.disk.wasEmptied &&
      (epoch < before.epoch || setVersion < before.setVersion)
    ) {
      this.#world.broken(
        new Violation(
          'I1',
          `a brick's descriptor fell from ${JSON.stringify(before)} to ${epoch}/${setVersion}`,
        ),
      )
    }
    this.#descriptors.set(key, { epoch, setVersion })
  }

  /** I1 and I11: somebody begins to serve this epoch, with these ranges. */
  owns(name: string, epoch: number, who: string, ranges: readonly number[]): void {
    const key = `${name}@${epoch}`
    const before = this.#owners.get(key)
    if (before !== undefined && before !== who) {
      this.#world.broken(
        new Violation('I1', `epoch ${epoch} of ${name} has two owners, ${before} and ${who}`),
      )
    }
    this.#owners.set(key, who)
    this.#messages.epochBegun(name, epoch)
    const reader = this.#world.peers.find(peer => peer.mayRead(name, epoch, ranges))
    if (reader !== undefined)
      this.#world.broken(
        new Violation(
          'I11',
          `epoch ${epoch} of ${name} is served, and peer ${reader.number} may read an older one`,
        ),
      )
  }

  /** I2: whatever was acknowledged is on every member. */
  writeAcknowledged(operation: ClientOperation): void {
    const volume = this.#world.volumes[operation.volume]!
    const view = this.#views.get(volume.name)
    if (view === undefined) return
    for (let i = 0; i < operation.sectors; i++) {
      const sector = operation.firstSector + i
      const range = Math.floor((sector * SECTOR_BYTES) / RANGE_BYTES)
      for (const uuid of view.members[range] ?? []) {
        if (operation.fua) this.#checkForced(operation, uuid, volume, sector)
        if (!this.#hasSeen(uuid, volume, sector, operation)) {
          throw new Violation(
            'I2',
            `${operation.client} #${operation.id} was acknowledged, member ${uuid.slice(0, 8)} never applied it ` +
              `(sector ${sector}, epoch ${view.head.epoch}, setVersion ${view.head.setVersion})`,
          )
        }
      }
    }
  }

  /** I6: what was written with FUA is on the platter of every member. */
  #checkForced(operation: ClientOperation, uuid: string, volume: TestedVolume, sector: number): void {
    const data = this.#image(uuid, volume)?.verifiedOnDisk(Math.floor(sector / SECTORS_PER_BLOCK))
    if (data === null || data === undefined) return
    const value = sectorValueQuick(data, (sector % SECTORS_PER_BLOCK) * SECTOR_BYTES)
    if (this.history.isAtLeast(operation, sector, value)) return
    throw new Violation(
      'I6',
      `${operation.client} #${operation.id} was acknowledged with FUA, on the platter of ${uuid.slice(0, 8)} ` +
        `sector ${sector} holds ${value}`,
    )
  }

  /** I6: what a flush covers is on the platter of every member. */
  flushAcknowledged(operation: ClientOperation): void {
    const volume = this.#world.volumes[operation.volume]!
    const view = this.#views.get(volume.name)
    if (view === undefined) return
    for (const sector of this.history.writtenSectors(volume.index)) {
      const allowed = this.history.valuesSince(volume.index, sector, operation.invokedMs)
      const block = Math.floor(sector / SECTORS_PER_BLOCK)
      const range = Math.floor((sector * SECTOR_BYTES) / RANGE_BYTES)
      for (const uuid of view.members[range] ?? []) {
        const data = this.#image(uuid, volume)?.verifiedOnDisk(block)
        // Rotten or marked bad: another promise is about that.
        if (data === null || data === undefined) continue
        const value = sectorValueQuick(data, (sector % SECTORS_PER_BLOCK) * SECTOR_BYTES)
        if (allowed.has(value)) continue
        throw new Violation(
          'I6',
          `${operation.client} #${operation.id} flush was acknowledged, on the platter of ${uuid.slice(0, 8)} ` +
            `sector ${sector} holds ${value}, allowed ${[...allowed].join(' ')}`,
        )
      }
    }
  }

  /** A fault made a block of a member bad that was on its platter. */
  rotted(volume: TestedVolume, block: number): void {
    this.#rotted.add(`${volume.index}/${block}`)
  }

  /** I13: a client was told that a block is lost. After a mere loss of power what is there stands: rule 11. */
  mediumError(operation: ClientOperation, failedAtBytes: number): void {
    const volume = this.#world.volumes[operation.volume]!
    const view = this.#views.get(volume.name)
    if (view === undefined) return
    const block = Math.floor(failedAtBytes / BLOCK_BYTES)
    if (!this.#rotted.has(`${volume.index}/${block}`))
      throw new Violation(
        'I13',
        `${operation.client} #${operation.id}: block ${block} was called lost, and never was`,
      )
    for (const uuid of view.members[Math.floor(failedAtBytes / RANGE_BYTES)] ?? []) {
      const peer = this.#world.peers.find(one => one.disk.uuid === uuid)
      if (peer === undefined || !peer.isReachable || peer.brick?.failure !== null) continue
      if (peer.brick.volume(volume.uuid)?.isSuspect(block)) continue
      // What waited behind the read was applied before its answer came.
      if (this.#wasWritten(uuid, volume, block, operation.invokedMs)) continue
      if (peer.disk.images.get(volume.uuid)?.verified(block)) {
        throw new Violation('I13', `block ${block} was called lost, and ${uuid.slice(0, 8)} verifies`)
      }
    }
  }

  /** I8 and I10, at any moment. */
  look(): void {
    for (const volume of this.#world.volumes) {
      const view = this.#views.get(volume.name)
      if (view === undefined) continue
      for (const block of volume.blocks) {
        const range = Math.floor((block * BLOCK_BYTES) / RANGE_BYTES)
        const members = view.members[range] ?? []
        this.#comparison.compareMembers(volume, block, members)
        for (const uuid of view.placed[range] ?? []) {
          if (!members.includes(uuid)) this.#comparison.compareOut(volume, view, block, uuid, members)
        }
      }
    }
  }

  #outsOf({ head, placed }: LayoutView): string {
    const nameOf = (uuid: string) => this.#world.peers.find(({ disk }) => disk.uuid === uuid)?.number ?? uuid
    const bricks = head.out.map(({ uuid, inSync }) => `peer ${nameOf(uuid)} but for ${inSync}`)
    return `${bricks.join(', ')}; placed on ${placed.map(uuids => uuids.map(nameOf).join('+')).join(' ')}`
  }

  /** Everything is healed and still: all members of all ranges hold the same, and nobody is out. */
  settled(): string | null {
    for (const volume of this.#world.volumes) {
      const view = this.#views.get(volume.name)
      if (view === undefined) return `${volume.name} has no head`
      if (view.head.out.length > 0) return `${volume.name}: still out: ${this.#outsOf(view)}`
      for (const block of volume.blocks) {
        const range = Math.floor((block * BLOCK_BYTES) / RANGE_BYTES)
        const copies = (view.members[range] ?? []).map(
          uuid => this.#image(uuid, volume)?.verified(block) ?? null,
        )
        const good = copies.filter(copy => copy !== null)
        if (good.some(copy => !copy.equals(good[0]!)))
          return `${volume.name}: members differ in block ${block}`
      }
    }
    return null
  }

  /** What the first member holds in a sector; null: nothing that can be read. */
  contentAtRest(volume: TestedVolume, sector: number): number | null {
    const range = Math.floor((sector * SECTOR_BYTES) / RANGE_BYTES)
    const [first] = this.#views.get(volume.name)?.members[range] ?? []
    const image = first === undefined ? undefined : this.#image(first, volume)
    const data = image?.verified(Math.floor(sector / SECTORS_PER_BLOCK)) ?? null
    return data === null ? null : sectorValueQuick(data, (sector % SECTORS_PER_BLOCK) * SECTOR_BYTES)
  }

  /**
   * I15 is promised while M members hold a volume. Two that were lost at the same moment, one with its disk, leave
   * fewer in S(r): nobody may serve that range until an operator recovers it. PROTOCOL rules 7 and 25.
   */
  needRecover(): TestedVolume[] {
    return this.#world.volumes.filter(volume => {
      const view = this.#views.get(volume.name)
      if (view === undefined) return false
      return view.members.some(set => {
        const held = set.filter(uuid => this.#image(uuid, volume) !== undefined)
        return held.length < view.head.minReplicas
      })
    })
  }

  #hasSeen(uuid: string, volume: TestedVolume, sector: number, operation: ClientOperation): boolean {
    const appliedMs = this.#applied.get(appliedKey(uuid, volume.index, sector))?.get(operation.value)
    if (appliedMs !== undefined && appliedMs >= operation.invokedMs) return true
    const block = Math.floor(sector / SECTORS_PER_BLOCK)
    const data = this.#image(uuid, volume)?.verified(block)
    if (data === undefined) return false
    if (data === null) return true
    const value = sectorValueQuick(data, (sector % SECTORS_PER_BLOCK) * SECTOR_BYTES)
    return this.history.isAtLeast(operation, sector, value)
  }

  #wasWritten(uuid: string, volume: TestedVolume, block: number, sinceMs: number): boolean {
    const values =
      this.#applied.get(appliedKey(uuid, volume.index, block * SECTORS_PER_BLOCK))?.values() ?? []
    return Math.max(...values) >= sinceMs
  }

  #image(uuid: string, volume: TestedVolume): VolumeImage | undefined {
    return this.#world.peers.find(peer => peer.disk.uuid === uuid)?.disk.images.get(volume.uuid)
  }

  #revisionMade(): void {
    for (const volume of this.#world.volumes) {
      const brickOf = (number: number) =>
        this.#world.peers.find(peer => peer.number === number)?.disk.uuid ?? `peer ${number}`
      const view = viewOf(this.#world.etcd, volume.name, brickOf)
      if (view === null) continue
      const before = this.#views.get(volume.name)
      const lossBefore = this.#lossGenerations.get(volume.name) ?? 0
      const { epoch, lossGeneration } = view.head
      this.#lossGenerations.set(volume.name, lossGeneration)
      if (epoch !== this.#epochs.get(volume.name)?.epoch)
        this.#epochs.set(volume.name, { epoch, atMs: this.#world.loop.nowMs })
      if (lossGeneration > lossBefore)
        this.history.lost(volume.index, this.#epochs.get(volume.name)!.atMs, this.#world.loop.nowMs)
      if (this.rolledBackAtMs !== null) continue
      this.#views.set(volume.name, view)
      this.#revisions.check(volume, before, view)
    }
  }
}

function appliedKey(brick: string, volume: number, sector: number): string {
  return `${brick}/${volume}/${sector}`
}
