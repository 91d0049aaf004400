import type { StateStorage, StoredState } from '../../src/volume/state-storage.ts'

/** What survives a daemon's restart, in memory; `failure` is thrown instead of saving. */
export class MemoryStateStorage implements StateStorage {
  stored: StoredState | null = null
  failure: { readonly error: Error; readonly appliesAnyway: boolean } | null = null
  saves = 0

  async load(): Promise<StoredState | null> {
    return this.stored
  }

  async save(next: Buffer, previousToken: bigint): Promise<bigint> {
    if (this.failure !== null && !this.failure.appliesAnyway) throw this.failure.error
    if ((this.stored?.token ?? 0n) !== previousToken) throw new Error('somebody else saved in between')
    this.saves += 1
    this.stored = { bytes: next, token: BigInt(this.saves) }
    if (this.failure !== null) throw this.failure.error
    return this.stored.token
  }
}
