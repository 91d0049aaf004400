import {
  decodeValue,
  keys,
  type OwnerValue,
  type PlacementPage,
  type VolumeHead,
} from '../../control/layout.ts'
import type { KeyValue, MetadataStore, Watch } from '../../metadata/metadata-store.ts'
import type { ReplicationLog } from '../replication.ts'
import type { Timer, Timers } from '../timers.ts'
import { inSyncSets, type Placement, rangesOf } from './sets.ts'

const PAGE_KEYS = 500
const RELOAD_MS = 500
const KEY = /^v\/([^/]+)\/(h|o|r\/[0-9a-f]{8})$/

type IsNews = (before: KeyValue | null, entry: KeyValue | null) => boolean

/** What the metadata says of one volume, as far as the watch has told. */
export interface WatchedVolume {
  readonly name: string
  head: KeyValue | null
  headValue: VolumeHead | null
  owner: KeyValue | null
  ownerValue: OwnerValue | null
  /** bootMs since when the owner's key is as it is. */
  ownerSinceMs: number
  readonly pages: Map<string, PlacementPage>
}

export interface VolumeWatchOptions {
  readonly metadata: MetadataStore
  readonly timers: Timers
  readonly log: ReplicationLog
  readonly ownerChanged: (volume: WatchedVolume) => void
  readonly headChanged: (volume: WatchedVolume) => void
}

/** Heads, placements and owners of all volumes, followed. */
export class VolumeWatch {
  readonly #options: VolumeWatchOptions
  #volumes = new Map<string, WatchedVolume>()
  #watch: Watch | null = null
  #timer: Timer | null = null
  #closed = false

  constructor(options: VolumeWatchOptions) {
    this.#options = options
  }

  volume(name: string): WatchedVolume | null {
    return this.#volumes.get(name) ?? null
  }

  volumes(): IterableIterator<WatchedVolume> {
    return this.#volumes.values()
  }

  /** Reads everything and follows; rejects when that fails. */
  async open(): Promise<void> {
    const { metadata } = this.#options
    const entries: KeyValue[] = []
    let startAfter: string | undefined
    let first = 0n
    for (;;) {
      const page = await metadata.range(keys.volumes, {
        limit: PAGE_KEYS,
        ...(startAfter === undefined ? {} : { startAfter }),
      })
      first ||= page.revision
      entries.push(...page.entries)
      startAfter = page.entries.at(-1)?.key
      if (!page.more || startAfter === undefined) break
    }
    if (this.#closed) return
    this.#replaceBy(entries)
    const watch = await metadata.watch(keys.volumes, first + 1n, {
      changed: events => {
        for (const event of events) {
          const revision = event.type === 'put' ? event.entry.modRevision : event.modRevision
          const isLater = (before: KeyValue | null) => before === null || revision > before.modRevision
          if (event.type === 'put') this.#apply(event.entry.key, event.entry, isLater)
          else this.#apply(event.key, null, before => before !== null && isLater(before))
        }
      },
      lost: error => this.#lost(error),
    })
    if (this.#closed) await watch[Symbol.asyncDispose]()
    else this.#watch = watch
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#watch?.[Symbol.asyncDispose]()
  }

  #lost(error: Error): void {
    if (this.#closed) return
    this.#options.log.warn({ err: error }, 'the watch on volumes was lost and begins again')
    this.#watch = null
    this.#timer = this.#options.timers.after(RELOAD_MS, () => {
      this.open().catch((failure: Error) => this.#lost(failure))
    })
  }

  /** What was known before counts for nothing: a store that was restored has older revisions, and is right. */
  #replaceBy(entries: readonly KeyValue[]): void {
    const seen = new Set(entries.map(({ key }) => key))
    for (const volume of [...this.#volumes.values()]) {
      volume.pages.clear()
      for (const entry of [volume.owner, volume.head]) {
        if (entry !== null && !seen.has(entry.key)) this.#apply(entry.key, null, differs)
      }
    }
    for (const entry of entries) this.#apply(entry.key, entry, differs)
  }

  #apply(key: string, entry: KeyValue | null, isNews: IsNews): void {
    const [, name, part] = KEY.exec(key) ?? []
    if (name === undefined || part === undefined) return
    // The keys of a deleted volume go one after the other, in any order.
    const volume = this.#volumes.get(name) ?? (entry === null ? null : this.#add(name))
    if (volume === null) return
    if (part === 'h') this.#applyHead(volume, entry, isNews)
    else if (part === 'o') this.#applyOwner(volume, entry, isNews)
    else if (entry === null) volume.pages.delete(key)
    else volume.pages.set(key, decodeValue('placement', key, entry.value))
  }

  #add(name: string): WatchedVolume {
    const ownerSinceMs = this.#options.timers.bootMs()
    const pages = new Map<string, PlacementPage>()
    const volume: WatchedVolume = {
      name,
      head: null,
      headValue: null,
      owner: null,
      ownerValue: null,
      ownerSinceMs,
      pages,
    }
    this.#volumes.set(name, volume)
    return volume
  }

  #applyHead(volume: WatchedVolume, entry: KeyValue | null, isNews: IsNews): void {
    if (!isNews(volume.head, entry)) return
    volume.head = entry
    volume.headValue = entry === null ? null : decodeValue('volume', entry.key, entry.value)
    if (entry === null) this.#volumes.delete(volume.name)
    this.#options.headChanged(volume)
  }

  #applyOwner(volume: WatchedVolume, entry: KeyValue | null, isNews: IsNews): void {
    if (!isNews(volume.owner, entry)) return
    volume.owner = entry
    volume.ownerValue = entry === null ? null : decodeValue('owner', entry.key, entry.value)
    volume.ownerSinceMs = this.#options.timers.bootMs()
    this.#options.ownerChanged(volume)
  }
}

function differs(before: KeyValue | null, entry: KeyValue | null): boolean {
  if (before === null || entry === null) return before !== entry
  return before.modRevision !== entry.modRevision || !before.value.equals(entry.value)
}

/** By range, as far as the pages have been seen. */
export function placementOf({ pages, headValue }: WatchedVolume): Placement {
  const placed = [...pages.keys()].sort().flatMap(key => pages.get(key)!.ranges)
  return headValue === null ? placed : placed.slice(0, rangesOf(headValue.sizeBytes))
}

/** S(r) of a watched volume; bricks are those that `brickOf` names. */
export function watchedSets(
  volume: WatchedVolume,
  names: Parameters<typeof inSyncSets>[2],
): readonly (readonly number[])[] {
  return volume.headValue === null ? [] : inSyncSets(volume.headValue, placementOf(volume), names)
}
