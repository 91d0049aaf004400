import { decodeValue, keys } from '../control/layout.ts'
import { type Every, everyInterval } from '../lib/every.ts'
import type { Log } from '../lib/log.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Replication } from '../replication/replication.ts'

/** Whoever was slow to answer rather than away learns of it by then. */
const LOOK_EVERY_MS = 60_000

export interface LeftoversOptions {
  readonly metadata: MetadataStore
  readonly replication: Pick<Replication, 'deleteVolume'>
  /** Of the peer whose brick it is. */
  readonly peerNumber: number
  readonly log: Log
  readonly every?: Every
}

/**
 * Deletes from a brick what it kept of volumes that were deleted while its peer was away. Only what the metadata names: a
 * volume that they merely do not know may be one of before they were restored from a backup.
 */
export class Leftovers implements Disposable {
  readonly #options: LeftoversOptions
  readonly #stop: () => void
  #isLooking = false

  /** Looks at once, and then every minute. */
  constructor(options: LeftoversOptions) {
    this.#options = options
    this.#stop = (options.every ?? everyInterval)(LOOK_EVERY_MS, () => void this.look())
    void this.look()
  }

  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      await this.#deleteAll()
    } catch (err) {
      this.#options.log.warn({ err }, 'volumes that were deleted meanwhile are not freed yet')
    } finally {
      this.#isLooking = false
    }
  }

  [Symbol.dispose](): void {
    this.#stop()
  }

  async #deleteAll(): Promise<void> {
    const { metadata, replication, peerNumber, log } = this.#options
    const prefix = keys.leftovers(peerNumber)
    const { entries } = await metadata.range(prefix)
    for (const { key, value } of entries) {
      const { name } = decodeValue('leftover', key, value)
      const uuid = key.slice(prefix.length)
      const kept = await replication.deleteVolume({
        ...{ uuid, sizeBytes: 0, epoch: 0, setVersion: 0 },
        peers: [peerNumber],
      })
      if (kept.length > 0) continue
      await metadata.transact({ compare: [], success: [{ do: 'delete', key }] })
      log.info({ volume: name, uuid }, 'a volume that was deleted meanwhile is freed')
    }
  }
}
