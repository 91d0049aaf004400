import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { change, type Draft } from './draft.ts'
import type { EventSource } from './events.ts'
import { inSyncSets } from './in-sync.ts'
import { decodeValue, keys, rangesOf, type VolumeHead } from './layout.ts'
import { hostsOf, takingPeers } from './placement/peers.ts'
import { chooseReplication } from './placement.ts'
import type { VolumeHost } from './ports.ts'
import { readyHead } from './volume-operations.ts'
import { recoveredHead } from './volume-recovery.ts'
import { recordOf } from './volume-rules.ts'

export interface ReplicaOperationsOptions {
  readonly metadata: MetadataStore
  readonly catalogue: Catalogue
  readonly events: EventSource
  readonly host: VolumeHost
  /** 0 for a peer that is up. */
  readonly awayMs: (peerId: string) => number
}

/** How many replicas a volume has, and going on without some of them. */
export class ReplicaOperations {
  readonly #options: ReplicaOperationsOptions

  constructor(options: ReplicaOperationsOptions) {
    this.#options = options
  }

  /**
   * Enters what is wanted; copies are made and freed afterwards. M falls at once, and rises when every range has so
   * many in sync: until then no write would be acknowledged. Whoever comes to own the volume next has to reach as many
   * members as before all the same, unless M is said and some peers are away: that is for going on without them. Throws as
   * chooseReplication does.
   */
  async set(
    name: string,
    wanted: { replicas?: number; minReplicas?: number; allowDegraded?: boolean },
  ): Promise<void> {
    const hosts = hostsOf(takingPeers(this.#options.catalogue.model.peers))
    await this.#change(async draft => {
      const head = await readyHead(draft, name)
      const replicas = wanted.replicas ?? head.replicas
      // M of a volume that lacks peers already can be set.
      const allowDegraded = wanted.allowDegraded === true || replicas <= head.replicas
      const chosen = chooseReplication(hosts, { ...wanted, replicas, allowDegraded })
      // Lowering it is said, never done by the way.
      const minReplicas = chosen.minReplicasWanted ?? chosen.minReplicas
      const { minReplicasWanted: _, minReplicasBefore = 0, ...rest } = head
      const rises = minReplicas > head.minReplicas
      const falls = minReplicas < head.minReplicas
      // Also where M has fallen already, by R: then this is how it is said.
      const goesOnWithout = !rises && wanted.minReplicas !== undefined && this.#someAreAway(name)
      const before = falls ? Math.max(minReplicasBefore, head.minReplicas) : minReplicasBefore
      const changed: VolumeHead = {
        ...rest,
        replicas,
        minReplicas: Math.min(head.minReplicas, minReplicas),
        ...(rises ? { minReplicasWanted: minReplicas } : {}),
        ...(before > 0 && !goesOnWithout ? { minReplicasBefore: before } : {}),
      }
      if (JSON.stringify(changed) === JSON.stringify(head)) return
      draft.put('volume', keys.head(name), changed)
      const message = `volume ${name} is to have ${replicas} replica(s), ${minReplicas} of them for a write`
      draft.event('volume.changed', name, message)
    })
  }

  /** M rises to what was asked for, if every range has that many in sync now. */
  async raiseMinimum(name: string): Promise<void> {
    await this.#change(async draft => {
      const head = await readyHead(draft, name)
      const { minReplicasWanted, ...rest } = head
      if (minReplicasWanted === undefined) return
      if ((await this.#fewestInSync(name, head)) < minReplicasWanted) return
      draft.put('volume', keys.head(name), { ...rest, minReplicas: minReplicasWanted })
      draft.event('volume.changed', name, `writes to volume ${name} need ${minReplicasWanted} replicas again`)
    })
  }

  /**
   * Goes on without the bricks of these peers, for good: what only they have is lost, and they come back by being
   * copied anew. Refused with ERR_PEER_BUSY for a peer that is up. PROTOCOL rule 25.
   */
  async recoverWithout(name: string, off: readonly string[]): Promise<void> {
    const { model } = this.#options.catalogue
    const bricks = new Map(off.flatMap(id => this.#bricksOf(id)))
    await this.#change(async draft => {
      const head = await readyHead(draft, name)
      const known = (await this.#options.host.highestKnown?.(recordOf(name, head))) ?? head
      const recovered = recoveredHead(name, head, await this.#placementOf(name, head), bricks, model, known)
      draft.put('volume', keys.head(name), recovered)
      const message = `volume ${name} goes on without ${off.join(', ')}: loss generation ${recovered.lossGeneration}`
      draft.event('volume.recovered', name, message)
    })
  }

  /** Of the peers that the volume lies on. */
  #someAreAway(name: string): boolean {
    const { catalogue, awayMs } = this.#options
    const placed = new Set(catalogue.model.placement(name).flat())
    return catalogue.model.peers.some(({ id, value }) => placed.has(value.number) && awayMs(id) > 0)
  }

  /** Brick uuids of a peer that is off, with its small number. */
  #bricksOf(id: string): (readonly [uuid: string, number: number])[] {
    const { catalogue, awayMs } = this.#options
    const { model } = catalogue
    const number = model.numberOf(id)
    if (number === null) throw new HoldfastError('ERR_PEER_NOT_FOUND', `there is no peer '${id}'`)
    if (model.peers.some(one => one.id === id) && awayMs(id) === 0) {
      throw new HoldfastError('ERR_PEER_BUSY', `peer '${id}' is up: name only peers that are off`)
    }
    return model.bricksOf(id).map(uuid => [uuid, number])
  }

  /** As it is while the head is this one: what is moved changes it, and the catalogue may be behind. */
  async #placementOf(name: string, head: VolumeHead): Promise<(readonly number[])[]> {
    const { entries } = await this.#options.metadata.range(keys.pages(name))
    const placed = entries.flatMap(({ key, value }) => decodeValue('placement', key, value).ranges)
    return placed.slice(0, rangesOf(head.sizeBytes))
  }

  async #fewestInSync(name: string, head: VolumeHead): Promise<number> {
    const placement = await this.#placementOf(name, head)
    const { model } = this.#options.catalogue
    if (head.out.some(({ uuid }) => model.peerOf(uuid) === null)) return 0
    return Math.min(...inSyncSets(head, placement, model).map(numbers => numbers.length))
  }

  async #change(attempt: (draft: Draft) => Promise<void>): Promise<void> {
    const { metadata, events, catalogue } = this.#options
    const { revision } = await change(metadata, events, attempt)
    await catalogue.reached(revision)
  }
}
