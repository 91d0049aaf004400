import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Catalogue } from './catalogue.ts'
import { type EventSource, keepEventsWithinBound } from './events.ts'
import { encodeValue, keys } from './layout.ts'
import type { Log } from './ports.ts'

export interface PeerWatchOptions {
  readonly catalogue: Catalogue
  readonly metadata: MetadataStore
  readonly events: EventSource
  readonly peerId: string
  readonly log: Log
  readonly now: () => number
}

/** Notices peers that go and come: since when each is away, and the event of it, entered by one of those left. */
export class PeerWatch implements Disposable {
  readonly #options: PeerWatchOptions
  readonly #up = new Set<string>()
  readonly #awaySince = new Map<string, number>()
  /** Peers that have been down since before this daemon started. */
  readonly #neverSeen = new Set<string>()
  readonly #stop: () => void

  constructor(options: PeerWatchOptions) {
    this.#options = options
    const { model } = options.catalogue
    for (const { id } of model.peers) this.#look(id, true)
    this.#stop = options.catalogue.onChange(({ peers }) => {
      for (const id of peers) this.#look(id, false)
    })
  }

  /** How long the peer has been away as far as this daemon can tell; 0 when it is up. */
  awayMs(id: string): number {
    const since = this.#awaySince.get(id)
    return since === undefined ? 0 : Math.max(1, this.#options.now() - since)
  }

  /** ISO 8601; now for one that is up, null for one that was never seen. */
  lastSeenAt(id: string): string | null {
    if (this.#up.has(id)) return new Date(this.#options.now()).toISOString()
    const since = this.#awaySince.get(id)
    return since === undefined || this.#neverSeen.has(id) ? null : new Date(since).toISOString()
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  #look(id: string, starting: boolean): void {
    const { catalogue, peerId, now } = this.#options
    const { model } = catalogue
    const isUp = id === peerId || model.registration(id) !== null
    if (isUp === this.#up.has(id) && !starting) return
    if (isUp) {
      this.#up.add(id)
      this.#neverSeen.delete(id)
      if (this.#awaySince.delete(id)) this.#tell('peer.up', id, `peer ${id} is back`)
      return
    }
    this.#up.delete(id)
    if (!model.peers.some(peer => peer.id === id)) return void this.#awaySince.delete(id)
    this.#awaySince.set(id, now())
    if (starting) this.#neverSeen.add(id)
    else this.#tell('peer.down', id, `peer ${id} is gone: it stopped, hangs, or cannot reach the metadata`)
  }

  /** Once in the cluster: by the lowest number of those that are up. */
  #tell(kind: string, subject: string, message: string): void {
    const { catalogue, metadata, events, peerId, log } = this.#options
    const first = catalogue.model.peers.find(({ id }) => this.#up.has(id) && id !== subject)
    if (first?.id !== peerId) return
    const { id, value } = events.next(kind, subject, message)
    metadata
      .transact({
        compare: [],
        success: [{ do: 'put', key: keys.event(id), value: encodeValue('event', value) }],
      })
      .then(() => keepEventsWithinBound(metadata, catalogue))
      .catch(err => log.warn({ err, kind, subject }, 'an event could not be entered'))
  }
}
