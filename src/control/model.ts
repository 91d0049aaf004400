import type { KeyValue } from '../metadata/metadata-store.ts'
import {
  decodeValue,
  type EventValue,
  keys,
  type PeerValue,
  type TargetValue,
  type VolumeHead,
} from './layout.ts'
import type { ChapRecord } from './records.ts'

/** What one revision touched, by name; the catalogue's listeners get it. */
export interface CatalogueChange {
  readonly volumes: Set<string>
  readonly targets: Set<string>
}

export function noChange(): CatalogueChange {
  return { volumes: new Set(), targets: new Set() }
}

interface Known<T> {
  readonly modRevision: bigint
  readonly value: T
}

const HEAD = /^v\/([^/]+)\/h$/

/**
 * The metadata in memory. Entries may come from a range read over several revisions and then again from the
 * watch: the newer modRevision wins, so that the end is the same in any order.
 */
export class Model {
  readonly #volumes = new Map<string, Known<VolumeHead>>()
  readonly #targets = new Map<string, Known<TargetValue>>()
  readonly #peers = new Map<string, Known<PeerValue>>()
  readonly #events = new Map<string, Known<EventValue>>()
  readonly #chap = new Map<string, Known<ChapRecord>>()

  /** `entry` null: the key was deleted in `revision`. Keys that are no part of the catalogue are passed over. */
  apply(key: string, entry: KeyValue | null, revision: bigint, change: CatalogueChange): void {
    const name = HEAD.exec(key)?.[1]
    if (name !== undefined) {
      if (update(this.#volumes, name, 'volume', key, entry, revision)) change.volumes.add(name)
    } else if (key.startsWith(keys.targets)) {
      const iqn = key.slice(keys.targets.length)
      if (update(this.#targets, iqn, 'target', key, entry, revision)) change.targets.add(iqn)
    } else if (key.startsWith(keys.peers)) {
      update(this.#peers, key.slice(keys.peers.length), 'peer', key, entry, revision)
    } else if (key.startsWith(keys.events)) {
      update(this.#events, key.slice(keys.events.length), 'event', key, entry, revision)
    } else if (key === keys.discoveryChap) {
      update(this.#chap, key, 'chap', key, entry, revision)
    }
  }

  volume(name: string): VolumeHead | null {
    return this.#volumes.get(name)?.value ?? null
  }

  target(iqn: string): TargetValue | null {
    return this.#targets.get(iqn)?.value ?? null
  }

  get volumeNames(): string[] {
    return [...this.#volumes.keys()].sort()
  }

  get targetNames(): string[] {
    return [...this.#targets.keys()].sort()
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
}

function update<K extends 'volume' | 'target' | 'peer' | 'event' | 'chap', T>(
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
