import { type Every, everyInterval } from '../lib/every.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'

export interface LeaseKeeperOptions {
  readonly store: Pick<MetadataStore, 'grantLease' | 'keepLeaseAlive'>
  readonly ttlSeconds: number
  /** False holds the heartbeat back: a process that is stuck must lose its lease. */
  readonly isWell: () => boolean
  /** A lease that keys may hang on from now on, or null when the last one is gone. */
  readonly changed: (lease: bigint | null) => void
  readonly failed: (error: unknown) => void
  /** Node's timers unless given. */
  readonly every?: Every
}

/** Six heartbeats per TTL: five may be lost, or find a member of etcd silent. */
const BEATS_PER_TTL = 6

/** Keeps one lease alive, and gets another one when it is gone. */
export class LeaseKeeper implements Disposable {
  readonly #options: LeaseKeeperOptions
  readonly #stopBeating: () => void
  #lease: bigint | null = null
  #beating = false
  #stopped = false

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    const { ttlSeconds, every = everyInterval } = options
    this.#stopBeating = every((ttlSeconds * 1000) / BEATS_PER_TTL, () => void this.beat())
    void this.beat()
  }

  /** One heartbeat, unless one is still under way. */
  async beat(): Promise<void> {
    const { isWell, failed } = this.#options
    if (this.#beating || this.#stopped || !isWell()) return
    this.#beating = true
    try {
      await this.#renew()
    } catch (error) {
      failed(error)
    } finally {
      this.#beating = false
    }
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    this.#stopBeating()
  }

  async #renew(): Promise<void> {
    const { store, ttlSeconds } = this.#options
    if (this.#lease !== null) {
      if ((await store.keepLeaseAlive(this.#lease)) > 0) return
      this.#set(null)
    }
    this.#set(await store.grantLease(ttlSeconds))
  }

  #set(lease: bigint | null): void {
    this.#lease = lease
    if (!this.#stopped) this.#options.changed(lease)
  }
}
