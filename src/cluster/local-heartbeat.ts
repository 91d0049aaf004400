import type { MetadataStore } from '../metadata/metadata-store.ts'
import { type Heartbeat, type HeartbeatLog, LEASE_TTL_SECONDS } from './heartbeat.ts'
import { LeaseKeeper } from './lease-keeper.ts'

/** On the main thread, for metadata in this process: nothing but this process could think it dead. */
export class LocalHeartbeat implements Heartbeat {
  lease: bigint | null = null
  readonly #keeper: LeaseKeeper
  readonly #listeners: ((lease: bigint | null) => void)[] = []

  constructor(store: MetadataStore, log: HeartbeatLog) {
    this.#keeper = new LeaseKeeper({
      store,
      ttlSeconds: LEASE_TTL_SECONDS,
      isWell: () => true,
      changed: lease => {
        this.lease = lease
        for (const listener of this.#listeners) listener(lease)
      },
      failed: err => log.warn({ err }, 'a heartbeat failed'),
    })
  }

  onChange(listener: (lease: bigint | null) => void): void {
    this.#listeners.push(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper[Symbol.dispose]()
  }
}
