import type { MetadataStore, Operation } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { type EventValue, keys } from './layout.ts'

/** The newest that are kept; some more are there until the next trim. */
export const EVENTS_KEPT = 1000
/** As many as one transaction may delete. */
const TRIM_BATCH = 100
const COUNTER_BITS = 10

/** Makes events whose ids sort by time, even when the wall clock steps back. */
export class EventSource {
  readonly #now: () => number
  readonly #suffix: string
  #last = 0

  /** `suffix` tells apart what several daemons enter in the same millisecond. */
  constructor(now: () => number, suffix: string) {
    this.#now = now
    this.#suffix = suffix
  }

  /** Begins after an event that is known already: the clock may have been set back while we were down. */
  startAfter(id: string): void {
    const last = Number.parseInt(id, 16)
    if (Number.isSafeInteger(last)) this.#last = Math.max(this.#last, last)
  }

  next(kind: string, subject: string, message: string): { id: string; value: EventValue } {
    const now = this.#now()
    this.#last = Math.max(this.#last + 1, now * 2 ** COUNTER_BITS)
    const id = `${this.#last.toString(16).padStart(14, '0')}-${this.#suffix}`
    return { id, value: { at: new Date(now).toISOString(), kind, subject, message } }
  }
}

/** The deletions that bring `ids` (sorted, oldest first) down to what is kept, once enough have gathered. */
export function trimEvents(ids: readonly string[]): Operation[] {
  if (ids.length < EVENTS_KEPT + TRIM_BATCH) return []
  return ids.slice(0, TRIM_BATCH).map(id => ({ do: 'delete', key: keys.event(id) }))
}

/** For whoever enters events beside changes: deletes until what the catalogue knows is within the bound. */
export async function keepEventsWithinBound(
  metadata: MetadataStore,
  catalogue: Pick<Catalogue, 'model' | 'reached'>,
): Promise<void> {
  for (;;) {
    const success = trimEvents(catalogue.model.eventIds)
    if (success.length === 0) return
    const { revision } = await metadata.transact({ compare: [], success })
    await catalogue.reached(revision)
  }
}
