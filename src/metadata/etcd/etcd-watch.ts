import type { Etcd3, IWatchResponse } from 'etcd3'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type { Watch, WatchEvent, WatchListener } from '../metadata-store.ts'
import type { EtcdKeys } from './etcd-codec.ts'
import type { EtcdEndpoints } from './etcd-endpoints.ts'

const RECONNECT_AFTER_MS = { first: 50, most: 1000 } as const

type WatchStream = Awaited<ReturnType<Etcd3['watchClient']['watch']>>

/**
 * A watch on a stream of its own. etcd3's watcher resumes after the newest revision of the store instead of the
 * last event that it got, and loses history that way; this one counts for itself.
 */
export class EtcdWatch implements Watch {
  readonly #endpoints: EtcdEndpoints
  readonly #keys: EtcdKeys
  readonly #prefix: string
  readonly #listener: WatchListener
  readonly #onEnd: (watch: EtcdWatch) => void
  #next: bigint
  readonly #stopListening: () => void
  #stream: WatchStream | null = null
  #retry: NodeJS.Timeout | null = null
  #retryAfterMs: number = RECONNECT_AFTER_MS.first
  #ended = false

  /** `startRevision` at least 1. */
  constructor(
    endpoints: EtcdEndpoints,
    keys: EtcdKeys,
    prefix: string,
    startRevision: bigint,
    listener: WatchListener,
    onEnd: (watch: EtcdWatch) => void,
  ) {
    this.#endpoints = endpoints
    this.#keys = keys
    this.#prefix = prefix
    this.#next = startRevision
    this.#listener = listener
    this.#onEnd = onEnd
    this.#stopListening = endpoints.onMove(() => this.#move())
    this.#connectSoon(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end()
  }

  #connectSoon(afterMs: number): void {
    this.#retry = setTimeout(() => {
      const client = this.#endpoints.preferred
      this.#connect(client).catch(() => this.#disconnected(client))
    }, afterMs)
  }

  async #connect(client: Etcd3): Promise<void> {
    // Not what `created` says: a member may be behind, and this read is linearizable. It also renews a token.
    const { header } = await client.kv.range({ ...this.#keys.range(''), count_only: true })
    if (BigInt(header.revision) + 1n < this.#next) {
      // etcd would take such a start revision and say nothing until it is reached.
      const why = `revision ${this.#next} was told, and etcd is at ${header.revision}: it was restored`
      return this.#lose(new HoldfastError('ERR_METADATA_UNAVAILABLE', `etcd cannot resume a watch: ${why}`))
    }
    const stream = await client.watchClient.watch()
    if (this.#ended) {
      stream.on('error', () => {})
      stream.cancel()
      return
    }
    this.#stream = stream
    const lost = () => {
      if (this.#stream === stream) this.#disconnected(client)
    }
    stream.on('error', lost)
    stream.on('end', lost)
    stream.on('data', response => {
      if (this.#stream === stream) this.#received(response)
    })
    stream.write({
      create_request: { ...this.#keys.range(this.#prefix), start_revision: this.#next.toString() },
    })
  }

  #disconnected(client: Etcd3): void {
    this.#stream = null
    if (this.#ended) return
    this.#listener.connected?.(false)
    this.#endpoints.preferNext(client)
    this.#connectSoon(this.#retryAfterMs)
    this.#retryAfterMs = Math.min(2 * this.#retryAfterMs, RECONNECT_AFTER_MS.most)
  }

  /** The member that it is on does not answer calls: it may be cut off, and would tell nothing. */
  #move(): void {
    const stream = this.#stream
    if (stream === null) return
    this.#stream = null
    stream.cancel()
    this.#listener.connected?.(false)
    this.#connectSoon(0)
  }

  #received(response: IWatchResponse): void {
    this.#retryAfterMs = RECONNECT_AFTER_MS.first
    if (response.created) this.#listener.connected?.(true)
    if (response.canceled) {
      const why = response.cancel_reason || `revision ${this.#next} was compacted away`
      this.#lose(new HoldfastError('ERR_METADATA_UNAVAILABLE', `etcd ended a watch: ${why}`))
      return
    }
    let revision: WatchEvent[] = []
    for (const [at, event] of response.events.entries()) {
      revision.push(this.#keys.event(event))
      const modRevision = event.kv.mod_revision
      if (response.events[at + 1]?.kv.mod_revision === modRevision) continue
      this.#deliver(revision, BigInt(modRevision))
      if (this.#ended) return
      revision = []
    }
  }

  #deliver(events: readonly WatchEvent[], revision: bigint): void {
    if (revision < this.#next) return
    this.#next = revision + 1n
    try {
      this.#listener.changed(events, revision)
    } catch (error) {
      this.#lose(error as Error)
    }
  }

  #lose(error: Error): void {
    if (this.#ended) return
    this.#end()
    this.#listener.lost(error)
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#stopListening()
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#stream?.cancel()
    this.#stream = null
    this.#onEnd(this)
  }
}
