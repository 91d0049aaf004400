import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Watch, WatchEvent, WatchListener } from '../metadata-store.ts'

/** The committed history, read synchronously. */
export interface History {
  /** What is committed at this moment; events are from `revision` on, in order. */
  readFrom(revision: bigint): {
    readonly newest: bigint
    readonly compacted: bigint
    readonly events: Iterable<WatchEvent>
  }
}

/** Events that a catching-up watch is given before others get the loop; a revision is never split. */
const CATCH_UP_EVENTS = 512

interface Watcher {
  readonly prefix: string
  readonly listener: WatchListener
  /** The first revision that it has not been given. */
  next: bigint
  /** False while it reads history; live events are then none of its business. */
  live: boolean
  closed: boolean
}

function revisionOf(event: WatchEvent): bigint {
  return event.type === 'put' ? event.entry.modRevision : event.modRevision
}

function keyOf(event: WatchEvent): string {
  return event.type === 'put' ? event.entry.key : event.key
}

/** Whole revisions, until there are enough events. */
function takeRevisions(events: Iterable<WatchEvent>): { revisions: WatchEvent[][]; more: boolean } {
  const revisions: WatchEvent[][] = []
  let count = 0
  let newest = 0n
  for (const event of events) {
    if (revisionOf(event) !== newest) {
      if (count >= CATCH_UP_EVENTS) return { revisions, more: true }
      newest = revisionOf(event)
      revisions.push([])
    }
    revisions.at(-1)!.push(event)
    count++
  }
  return { revisions, more: false }
}

/** Hands every event to every watch, once and in order: history first, then what commits. */
export class WatchHub {
  readonly #history: History
  readonly #watchers = new Set<Watcher>()

  constructor(history: History) {
    this.#history = history
  }

  /** `startRevision` at least 1. The first call to the listener comes after this one returned. */
  watch(prefix: string, startRevision: bigint, listener: WatchListener): Watch {
    const watcher: Watcher = { prefix, listener, next: startRevision, live: false, closed: false }
    this.#watchers.add(watcher)
    setImmediate(() => this.#catchUp(watcher))
    return {
      [Symbol.asyncDispose]: async () => {
        watcher.closed = true
        this.#watchers.delete(watcher)
      },
    }
  }

  /** All events of one committed revision; revisions come in order, each once. */
  committed(events: readonly WatchEvent[], revision: bigint): void {
    for (const watcher of [...this.#watchers]) {
      if (watcher.live) this.#deliver(watcher, events, revision)
    }
  }

  /** Ends every watch silently: the store is being closed by its user. */
  closeAll(): void {
    for (const watcher of this.#watchers) watcher.closed = true
    this.#watchers.clear()
  }

  #catchUp(watcher: Watcher): void {
    if (watcher.closed) return
    const { newest, compacted, events } = this.#history.readFrom(watcher.next)
    if (watcher.next < compacted) {
      const message = `revision ${watcher.next} was compacted away (history starts at ${compacted})`
      this.#lose(watcher, new HoldfastError('ERR_METADATA_UNAVAILABLE', message))
      return
    }
    const { revisions, more } = takeRevisions(events)
    for (const batch of revisions) this.#deliver(watcher, batch, revisionOf(batch[0]!))
    if (more) {
      setImmediate(() => this.#catchUp(watcher))
      return
    }
    // Nothing commits during this pass, so whatever is newer than `newest` is still to be delivered live.
    if (watcher.next <= newest) watcher.next = newest + 1n
    watcher.live = true
  }

  /** `events` are of one revision; the watch continues after `upTo`. */
  #deliver(watcher: Watcher, events: readonly WatchEvent[], upTo: bigint): void {
    if (watcher.closed || upTo < watcher.next) return
    watcher.next = upTo + 1n
    const wanted = events.filter(event => keyOf(event).startsWith(watcher.prefix))
    if (wanted.length === 0) return
    try {
      watcher.listener.changed(wanted, revisionOf(wanted[0]!))
    } catch (error) {
      this.#lose(watcher, error as Error)
    }
  }

  #lose(watcher: Watcher, error: Error): void {
    if (watcher.closed) return
    watcher.closed = true
    this.#watchers.delete(watcher)
    watcher.listener.lost(error)
  }
}
