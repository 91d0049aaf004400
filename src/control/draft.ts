import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Compare, MetadataStore, Operation } from '../metadata/metadata-store.ts'
import type { EventSource } from './events.ts'
import { decodeValue, encodeValue, type Kind, keys, type Values } from './layout.ts'

/** Others may win this often before a change gives up. */
const ATTEMPTS_MAX = 16

/** One attempt at a change: what it read is compared when it commits, so that nothing is based on old news. */
export class Draft {
  readonly store: MetadataStore
  readonly compare: Compare[] = []
  readonly operations: Operation[] = []
  readonly #events: EventSource

  constructor(store: MetadataStore, events: EventSource) {
    this.store = store
    this.#events = events
  }

  /** The value of a key, or null; the commit fails if it changes until then. */
  async read<K extends Kind>(kind: K, key: string): Promise<Values[K] | null> {
    const entry = await this.store.get(key)
    this.compare.push({ key, target: 'modRevision', is: '=', value: entry?.modRevision ?? 0n })
    return entry === null ? null : decodeValue(kind, key, entry.value)
  }

  put<K extends Kind>(kind: K, key: string, value: Values[K]): void {
    this.operations.push({ do: 'put', key, value: encodeValue(kind, value) })
  }

  delete(key: string): void {
    this.operations.push({ do: 'delete', key })
  }

  deletePrefix(prefix: string): void {
    this.operations.push({ do: 'deletePrefix', prefix })
  }

  /** Enters the cluster's events together with the change itself. */
  event(kind: string, subject: string, message: string): void {
    const { id, value } = this.#events.next(kind, subject, message)
    this.put('event', keys.event(id), value)
  }
}

/**
 * Runs `attempt` and commits what it drafted, again if somebody else changed what it had read. `revision` is 0
 * when nothing was drafted. Throws what `attempt` throws, and ERR_METADATA_CONFLICT when others always win.
 */
export async function change<T>(
  store: MetadataStore,
  events: EventSource,
  attempt: (draft: Draft) => Promise<T>,
): Promise<{ readonly result: T; readonly revision: bigint }> {
  for (let tries = 0; tries < ATTEMPTS_MAX; tries++) {
    const draft = new Draft(store, events)
    const result = await attempt(draft)
    const { succeeded, revision } = await store.transact({
      compare: draft.compare,
      success: draft.operations,
    })
    // A shared store's newest revision may be somebody else's, which no watch of ours will ever show.
    if (succeeded) return { result, revision: draft.operations.length === 0 ? 0n : revision }
  }
  throw new HoldfastError('ERR_METADATA_CONFLICT')
}
