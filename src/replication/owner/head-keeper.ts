import {
  decodeValue,
  encodeValue,
  keys,
  type PlacementPage,
  RANGES_PER_PAGE,
  type VolumeHead,
} from '../../control/layout.ts'
import type { KeyValue, MetadataStore, Operation } from '../../metadata/metadata-store.ts'
import type { Timers } from '../timers.ts'
import { type BrickNames, type Placement, rangesOf } from './sets.ts'

/** Between two attempts to learn what became of a change. */
const RETRY_MS = 200

export interface HeadChange {
  readonly head: VolumeHead
  /** Written in the same transaction: placement pages. */
  readonly also?: readonly Operation[]
}

/** changed: it is so now. unchanged: `wanted` saw nothing to do. superseded: another epoch has begun. */
export type ChangeOutcome = 'changed' | 'unchanged' | 'superseded' | 'ended'

/**
 * The head of a volume in the hands of the owner of an epoch: only it changes the sets. Every change compares what
 * was read; while its outcome is unknown it is asked for until it is known. PROTOCOL rule 8.
 */
export class HeadKeeper {
  readonly #metadata: MetadataStore
  readonly #timers: Timers
  readonly #name: string
  readonly #epoch: number
  #head: VolumeHead
  #revision: bigint
  #ended = false
  #unansweredSinceMs: number | null = null

  constructor(metadata: MetadataStore, timers: Timers, name: string, entry: KeyValue) {
    this.#metadata = metadata
    this.#timers = timers
    this.#name = name
    this.#head = decodeValue('volume', entry.key, entry.value)
    this.#revision = entry.modRevision
    this.#epoch = this.#head.epoch
  }

  get head(): VolumeHead {
    return this.#head
  }

  get revision(): bigint {
    return this.#revision
  }

  /** bootMs since when the metadata has not answered a change; null while none waits. */
  get unansweredSinceMs(): number | null {
    return this.#unansweredSinceMs
  }

  end(): void {
    this.#ended = true
  }

  /** What a watch has shown; true when the head is another than before. */
  learn(entry: KeyValue): boolean {
    if (entry.modRevision <= this.#revision) return false
    const head = decodeValue('volume', entry.key, entry.value)
    if (head.epoch !== this.#epoch) return false
    this.#head = head
    this.#revision = entry.modRevision
    return true
  }

  /**
   * Resolves only when the outcome is known. `wanted` is asked again after others have changed the head, and before each
   * further try. Where it then wants nothing any more the head is written as it is: what was tried before has committed
   * by then, or never will.
   */
  async change(wanted: (head: VolumeHead) => HeadChange | null): Promise<ChangeOutcome> {
    const key = keys.head(this.#name)
    let tried: VolumeHead | null = null
    while (!this.#ended) {
      if (tried !== null && this.#head.setVersion >= tried.setVersion) return 'changed'
      const change = wanted(this.#head)
      if (change === null && tried === null) return 'unchanged'
      const base = this.#revision
      const { head: written, also = [] }: HeadChange = change ?? { head: this.#head }
      const put: Operation = { do: 'put', key, value: encodeValue('volume', written) }
      try {
        const { succeeded, revision, found } = await this.#metadata.transact({
          compare: [{ key, target: 'modRevision', is: '=', value: base }],
          success: [put, ...also],
          failure: [{ do: 'get', key }],
        })
        this.#unansweredSinceMs = null
        if (succeeded) {
          this.#adopt(written, revision)
          return change === null ? 'unchanged' : 'changed'
        }
        const entry = found[0] ?? null
        if (entry === null) return 'superseded'
        const head = decodeValue('volume', key, entry.value)
        // Older than what was read once: the metadata were rolled back. PROTOCOL rule 1.
        if (entry.modRevision < base) return 'superseded'
        if (head.uuid !== this.#head.uuid || head.epoch !== this.#epoch) return 'superseded'
        this.#adopt(head, entry.modRevision)
      } catch {
        // It may commit yet, until the same comparison has failed or won.
        this.#unansweredSinceMs ??= this.#timers.bootMs()
        if (change !== null) tried = written
        await this.#pause()
      }
    }
    return 'ended'
  }

  #adopt(head: VolumeHead, revision: bigint): void {
    if (revision <= this.#revision) return
    this.#head = head
    this.#revision = revision
  }

  #pause(): Promise<void> {
    return new Promise(resolve => {
      this.#timers.after(RETRY_MS, resolve)
    })
  }
}

/**
 * All ranges of a volume of this size, by its pages in order: what is placed already for a larger one is left out.
 * Rejects when the metadata cannot be read.
 */
export async function readPlacement(
  metadata: MetadataStore,
  name: string,
  sizeBytes: number,
): Promise<Placement> {
  const pages = Math.ceil(rangesOf(sizeBytes) / RANGES_PER_PAGE)
  // By key, which many volumes can have done together.
  const entries = await Promise.all(
    Array.from({ length: pages }, (_, page) => metadata.get(keys.page(name, page))),
  )
  const placed = entries.flatMap(entry => {
    const page: PlacementPage | null =
      entry === null ? null : decodeValue('placement', entry.key, entry.value)
    return page?.ranges ?? []
  })
  return placed.slice(0, rangesOf(sizeBytes))
}

/** BrickNames of everybody that the metadata knew at one moment, removed ones included. */
export interface KnownBricks extends BrickNames {
  /** Small numbers of those that have not been removed. */
  readonly peers: readonly number[]
}

/** Which brick is whose, as the metadata knows; `seen` are bricks that have said so themselves. */
export async function readBrickNames(
  metadata: MetadataStore,
  seen: (peerNumber: number) => string | null,
): Promise<KnownBricks> {
  const [peers, gone, bricks] = await Promise.all([
    metadata.range(keys.peers),
    metadata.range(keys.gonePeers),
    metadata.range(keys.brick('')),
  ])
  const living = peers.entries.map(
    ({ key, value }) => [key.slice(keys.peers.length), decodeValue('peer', key, value).number] as const,
  )
  const removed = gone.entries.map(
    ({ key, value }) =>
      [key.slice(keys.gonePeers.length), decodeValue('gonePeer', key, value).number] as const,
  )
  const numbers = new Map([...removed, ...living])
  const peerOf = new Map<string, number>()
  const newest = new Map<number, { readonly uuid: string; readonly revision: bigint }>()
  for (const { key, value, modRevision } of bricks.entries) {
    const uuid = key.slice(keys.brick('').length)
    const number = numbers.get(decodeValue('brick', key, value).peer)
    if (number === undefined) continue
    peerOf.set(uuid, number)
    const known = newest.get(number)
    if (known === undefined || known.revision < modRevision)
      newest.set(number, { uuid, revision: modRevision })
  }
  return {
    peers: living.map(([, number]) => number).sort((a, b) => a - b),
    peerOf: uuid => peerOf.get(uuid) ?? null,
    brickOf: number => seen(number) ?? newest.get(number)?.uuid ?? null,
  }
}
