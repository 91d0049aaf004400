import type { PeerLink, PeerNetwork } from '../peer-network.ts'
import type { Timers } from '../timers.ts'

interface WatchedLink {
  readonly link: PeerLink
  /** bootMs; null while it is up. */
  downSinceMs: number | null
  readonly stop: () => void
}

/** The links to other daemons, and since when each is down. */
export class Links {
  readonly #network: PeerNetwork
  readonly #timers: Timers
  readonly #links = new Map<number, WatchedLink>()
  readonly #listeners = new Set<(peerNumber: number, isUp: boolean) => void>()

  constructor(network: PeerNetwork, timers: Timers) {
    this.#network = network
    this.#timers = timers
  }

  to(peerNumber: number): PeerLink {
    return this.#watched(peerNumber).link
  }

  /** 0 while it is up. */
  downForMs(peerNumber: number): number {
    const { downSinceMs } = this.#watched(peerNumber)
    return downSinceMs === null ? 0 : this.#timers.bootMs() - downSinceMs
  }

  /** Called after any link came or went; the answer takes the listener off. */
  onChange(listener: (peerNumber: number, isUp: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    for (const { stop } of this.#links.values()) stop()
    this.#links.clear()
    this.#listeners.clear()
  }

  #watched(peerNumber: number): WatchedLink {
    const known = this.#links.get(peerNumber)
    if (known !== undefined) return known
    const link = this.#network.link(peerNumber)
    const watched: WatchedLink = {
      link,
      downSinceMs: link.isUp ? null : this.#timers.bootMs(),
      stop: link.onChange(() => {
        if (link.isUp) watched.downSinceMs = null
        else watched.downSinceMs ??= this.#timers.bootMs()
        for (const listener of [...this.#listeners]) listener(peerNumber, link.isUp)
      }),
    }
    this.#links.set(peerNumber, watched)
    return watched
  }
}
