/** A key with its value, as etcd v3 keeps it. Revisions are exact: bigint. */
export interface KeyValue {
  readonly key: string
  readonly value: Buffer
  readonly createRevision: bigint
  readonly modRevision: bigint
  readonly version: bigint
  /** Lease that the key hangs on, or 0n. */
  readonly lease: bigint
}

export type Compare =
  | {
      readonly key: string
      readonly target: 'version'
      readonly is: '=' | '>' | '<' | '!='
      readonly value: bigint
    }
  | {
      readonly key: string
      readonly target: 'modRevision'
      readonly is: '=' | '>' | '<' | '!='
      readonly value: bigint
    }
  | { readonly key: string; readonly target: 'value'; readonly is: '=' | '!='; readonly value: Buffer }

export type Operation =
  | { readonly do: 'put'; readonly key: string; readonly value: Buffer; readonly lease?: bigint }
  | { readonly do: 'delete'; readonly key: string }
  | { readonly do: 'deletePrefix'; readonly prefix: string }
  | { readonly do: 'get'; readonly key: string }

export interface Transaction {
  /**
   * All must hold for `success` to run; otherwise `failure` does. At most TRANSACTION_OPERATIONS_MAX of each. A key
   * that is put twice, or put and deleted, in one branch is refused. A key that is missing has version and
   * modRevision 0; comparing its value always fails.
   */
  readonly compare: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure?: readonly Operation[]
}

export interface TransactionResult {
  readonly succeeded: boolean
  readonly revision: bigint
  /** One entry per operation that ran: what 'get' found, else null. */
  readonly found: readonly (KeyValue | null)[]
}

export interface RangeResult {
  readonly entries: readonly KeyValue[]
  readonly revision: bigint
  readonly more: boolean
}

export type WatchEvent =
  | { readonly type: 'put'; readonly entry: KeyValue }
  | { readonly type: 'delete'; readonly key: string; readonly modRevision: bigint }

export interface WatchListener {
  /** All events of one revision arrive in one call, in order, none missing, none twice. */
  changed(events: readonly WatchEvent[], revision: bigint): void
  /** The start revision was compacted away, or the watch cannot go on: list again and watch anew. */
  lost(error: Error): void
  /** Whether changes can come at present: a watch that is cut off resumes by itself, and is behind until then. */
  connected?(is: boolean): void
}

export interface Watch extends AsyncDisposable {}

/** etcd limits a transaction to 128 operations and 128 comparisons; ours keeps the same bound. */
export const TRANSACTION_OPERATIONS_MAX = 128

/**
 * etcd v3's semantics, whichever implementation is behind: linearizable reads, compare-and-set transactions,
 * revisions, watches from an old revision, compaction, leases. Every successful transaction is durable.
 * All calls reject with HoldfastError ERR_METADATA_UNAVAILABLE when the store cannot be reached in time; the
 * outcome of a transaction that rejects is unknown and must be read back (ETCD semantics).
 */
export interface MetadataStore extends AsyncDisposable {
  get(key: string): Promise<KeyValue | null>
  /** Keys with this prefix in order, at the newest revision; `limit` 0 means all. */
  range(
    prefix: string,
    options?: { readonly limit?: number; readonly startAfter?: string },
  ): Promise<RangeResult>
  /** Rejects with ERR_METADATA_LEASE when a put names a lease that is gone; nothing is applied then. */
  transact(transaction: Transaction): Promise<TransactionResult>
  /** Every event from `startRevision` on (inclusive), history included; 0 means from now on. */
  watch(prefix: string, startRevision: bigint, listener: WatchListener): Promise<Watch>
  /** Forgets history before `revision`; nothing happens if that is forgotten already. Refuses the future. */
  compact(revision: bigint): Promise<void>
  /** The store may raise a short TTL; keepLeaseAlive answers the real one. */
  grantLease(ttlSeconds: number): Promise<bigint>
  /** Resets the lease's time; answers the TTL in seconds, 0 when the lease is gone. */
  keepLeaseAlive(lease: bigint): Promise<number>
  /** Deletes the keys of the lease, all in one revision; a lease that is gone is no error. */
  revokeLease(lease: bigint): Promise<void>
}
