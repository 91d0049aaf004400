import type { KeyValue } from '../metadata/metadata-store.ts'
import {
  type BrickValue,
  decodeValue,
  type EventValue,
  type GonePeerValue,
  type Kind,
  keys,
  type OwnerValue,
  type PeerValue,
  type PlacementPage,
  RANGES_PER_PAGE,
  type RegistrationValue,
  type TargetValue,
  type VolumeHead,
} from './layout.ts'
import type { ChapRecord } from './records.ts'

/** What one revision touched, by name; the catalogue's listeners get it. */
export interface CatalogueChange {
  readonly volumes: Set<string>
  readonly targets: Set<string>
  /** Records and registrations. */
  readonly peers: Set<string>
}

export function noChange(): CatalogueChange {
  return { volumes: new Set(), targets: new Set(), peers: new Set() }
}

interface Known<T> {
  readonly modRevision: bigint
  readonly value: T
}

const HEAD = /^v\/([^/]+)\/h$/
const OWNER = /^v\/([^/]+)\/o$/
const PAGE = /^v\/([^/]+)\/r\/[0-9a-f]{8}$/
const BRICKS = keys.brick('')

/** Of a head: what a plan of moves depends on. */
const LAYOUT_FIELDS = ['uuid', 'state', 'replicas', 'sizeBytes'] as const

/**
 * The metadata in memory. Entries may come from a range read over several revisions and then again from the
 * watch: the newer modRevision wins, so that the end is the same in any order.
 */
export class Model {
  /** Rises with every change of what ranges there are, where they lie, and which peers there are for them. */
  layoutChanges = 0
  readonly #volumes = new Map<string, Known<VolumeHead>>()
  readonly #namesByUuid = new Map<string, string>()
  readonly #targets = new Map<string, Known<TargetValue>>()
  /** By volume: names of the targets that have it as a LUN. */
  readonly #targetsByVolume = new Map<string, Set<string>>()
  readonly #peers = new Map<string, Known<PeerValue>>()
  readonly #gonePeers = new Map<string, Known<GonePeerValue>>()
  readonly #events = new Map<string, Known<EventValue>>()
  readonly #chap = new Map<string, Known<ChapRecord>>()
  readonly #registrations = new Map<string, Known<RegistrationValue>>()
  readonly #bricks = new Map<string, Known<BrickValue>>()
  readonly #owners = new Map<string, Known<OwnerValue>>()
  /** By key; of volumes that are being deleted they may outlive the head by an event. */
  readonly #pages = new Map<string, Known<PlacementPage>>()

  /** `entry` null: the key was deleted in `revision`. Keys that are no part of the catalogue are passed over. */
  apply(key: string, entry: KeyValue | null, revision: bigint, change: CatalogueChange): void {
    if (key.startsWith(keys.volumes)) return this.#applyToVolume(key, entry, revision, change)
    const under = (prefix: string) => (key.startsWith(prefix) ? key.slice(prefix.length) : null)
    const target = under(keys.targets)
    const peer = under(keys.peers)
    const gone = under(keys.gonePeers)
    const registered = under(keys.registrations)
    const event = under(keys.events)
    const brick = under(BRICKS)
    if (target !== null) {
      const before = this.target(target)
      if (!update(this.#targets, target, 'target', key, entry, revision)) return
      change.targets.add(target)
      this.#indexLuns(target, before, this.target(target))
    } else if (peer !== null) {
      if (!update(this.#peers, peer, 'peer', key, entry, revision)) return
      change.peers.add(peer)
      this.layoutChanges++
    } else if (gone !== null) {
      update(this.#gonePeers, gone, 'gonePeer', key, entry, revision)
    } else if (registered !== null) {
      const changed = update(this.#registrations, registered, 'registration', key, entry, revision)
      if (changed) change.peers.add(registered)
    } else if (event !== null) {
      update(this.#events, event, 'event', key, entry, revision)
    } else if (brick !== null) {
      update(this.#bricks, brick, 'brick', key, entry, revision)
    } else if (key === keys.discoveryChap) {
      update(this.#chap, key, 'chap', key, entry, revision)
    }
  }

  volume(name: string): VolumeHead | null {
    return this.#volumes.get(name)?.value ?? null
  }

  /** Of the volume with this uuid; null when there is none. */
  nameOf(uuid: string): string | null {
    return this.#namesByUuid.get(uuid) ?? null
  }

  target(iqn: string): TargetValue | null {
    return this.#targets.get(iqn)?.value ?? null
  }

  /** Names of the targets that have a volume of this name as a LUN. */
  targetsOf(volume: string): string[] {
    return [...(this.#targetsByVolume.get(volume) ?? [])].sort()
  }

  /** Per range the small numbers of its peers, as far as pages are there. */
  placement(name: string): (readonly number[])[] {
    const ranges: (readonly number[])[] = []
    for (let page = 0; ; page++) {
      const found = this.#pages.get(keys.page(name, page))?.value
      if (found === undefined) return ranges
      ranges.push(...found.ranges)
      if (found.ranges.length < RANGES_PER_PAGE) return ranges
    }
  }

  /** Who owns the volume now; null when nobody does. */
  owner(name: string): OwnerValue | null {
    return this.#owners.get(name)?.value ?? null
  }

  /** Null while the peer is not alive. */
  registration(peerId: string): RegistrationValue | null {
    return this.#registrations.get(peerId)?.value ?? null
  }

  brick(uuid: string): BrickValue | null {
    return this.#bricks.get(uuid)?.value ?? null
  }

  /** Small number of the peer that a brick is of, also when that was removed; null for an unknown one. */
  peerOf(brickUuid: string): number | null {
    const id = this.brick(brickUuid)?.peer
    return id === undefined ? null : this.numberOf(id)
  }

  /** Small number of a peer, also of one that was removed; null for an unknown one. */
  numberOf(peerId: string): number | null {
    return (this.#peers.get(peerId) ?? this.#gonePeers.get(peerId))?.value.number ?? null
  }

  /** Uuids of the bricks that the peer has ever opened. */
  bricksOf(peerId: string): string[] {
    return [...this.#bricks].filter(([, { value }]) => value.peer === peerId).map(([uuid]) => uuid)
  }

  get volumeNames(): string[] {
    return [...this.#volumes.keys()].sort()
  }

  get targetNames(): string[] {
    return [...this.#targets.keys()].sort()
  }

  /** Small number and name of those that were removed. */
  get gonePeers(): (readonly [number: number, id: string])[] {
    return [...this.#gonePeers].map(([id, { value }]) => [value.number, id])
  }

  get peers(): { readonly id: string; readonly value: PeerValue }[] {
    return [...this.#peers]
      .map(([id, { value }]) => ({ id, value }))
      .sort((a, b) => a.value.number - b.value.number)
  }

  /** Oldest first. */
  get eventIds(): string[] {
    return [...this.#events.keys()].sort()
  }

  event(id: string): EventValue | null {
    return this.#events.get(id)?.value ?? null
  }

  get discoveryChap(): ChapRecord | null {
    return this.#chap.get(keys.discoveryChap)?.value ?? null
  }

  #indexLuns(iqn: string, before: TargetValue | null, now: TargetValue | null): void {
    for (const { volume } of before?.luns ?? []) {
      const targets = this.#targetsByVolume.get(volume)
      targets?.delete(iqn)
      if (targets?.size === 0) this.#targetsByVolume.delete(volume)
    }
    for (const { volume } of now?.luns ?? []) {
      const targets = this.#targetsByVolume.get(volume)
      if (targets === undefined) this.#targetsByVolume.set(volume, new Set([iqn]))
      else targets.add(iqn)
    }
  }

  #applyToVolume(key: string, entry: KeyValue | null, revision: bigint, change: CatalogueChange): void {
    const name = HEAD.exec(key)?.[1]
    const owned = OWNER.exec(key)?.[1]
    if (name !== undefined) {
      const before = this.volume(name)
      if (!update(this.#volumes, name, 'volume', key, entry, revision)) return
      change.volumes.add(name)
      if (before !== null) this.#namesByUuid.delete(before.uuid)
      const now = this.volume(name)
      if (now !== null) this.#namesByUuid.set(now.uuid, name)
      if (LAYOUT_FIELDS.some(field => before?.[field] !== now?.[field])) this.layoutChanges++
    } else if (owned !== undefined) {
      update(this.#owners, owned, 'owner', key, entry, revision)
    } else if (PAGE.test(key)) {
      if (update(this.#pages, key, 'placement', key, entry, revision)) this.layoutChanges++
    }
  }
}

function update<K extends Kind, T>(
  map: Map<string, Known<T>>,
  name: string,
  kind: K,
  key: string,
  entry: KeyValue | null,
  revision: bigint,
): boolean {
  const before = map.get(name)
  if (before !== undefined && before.modRevision >= revision) return false
  if (entry === null) return map.delete(name)
  map.set(name, { modRevision: revision, value: decodeValue(kind, key, entry.value) as T })
  return true
}
