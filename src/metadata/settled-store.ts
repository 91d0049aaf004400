import { HoldfastError } from '../errors/holdfast-error.ts'
import type {
  KeyValue,
  MetadataStore,
  RangeResult,
  Transaction,
  TransactionResult,
  Watch,
  WatchListener,
} from './metadata-store.ts'

/** How long an unknown outcome is asked for before the caller is told that it is unknown. */
const SETTLE_MS = 15_000
const ASK_EVERY_MS = 200

export interface SettledStoreOptions {
  readonly store: MetadataStore
  /** Of this process alone: the number of its last attempt is kept there. */
  readonly attemptKey: string
  /** Makes attempts of this process different from those of any other. */
  readonly processId: string
  readonly nowMs?: () => number
  readonly sleep?: (ms: number) => Promise<void>
}

/**
 * A store whose transactions either took effect or did not. Each one writes the number of its attempt and
 * compares the one before; after an error the number is read back, and a number of our own keeps a transaction
 * that is still under way from taking effect later. One at a time, so for control, not for set changes.
 */
export class SettledStore implements MetadataStore {
  readonly #store: MetadataStore
  readonly #key: string
  readonly #processId: string
  readonly #nowMs: () => number
  readonly #sleep: (ms: number) => Promise<void>
  #attempt = 0
  /** Revision of the attempt key, null before it has been read. */
  #last: bigint | null = null
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: SettledStoreOptions) {
    this.#store = options.store
    this.#key = options.attemptKey
    this.#processId = options.processId
    this.#nowMs = options.nowMs ?? (() => performance.now())
    this.#sleep = options.sleep ?? (ms => new Promise(resolve => setTimeout(resolve, ms)))
  }

  /**
   * Rejects with ERR_METADATA_UNAVAILABLE only when nothing answers for 15 s: then it is unknown after all.
   * `found` is empty where the outcome had to be read back.
   */
  transact(transaction: Transaction): Promise<TransactionResult> {
    const writes = [...transaction.success, ...(transaction.failure ?? [])].some(
      ({ do: what }) => what !== 'get',
    )
    if (!writes) return this.#store.transact(transaction)
    const turn = this.#queue.then(() => this.#settled(transaction))
    this.#queue = turn.catch(() => {})
    return turn
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#store.get(key)
  }

  range(
    prefix: string,
    options?: { readonly limit?: number; readonly startAfter?: string },
  ): Promise<RangeResult> {
    return this.#store.range(prefix, options)
  }

  watch(prefix: string, startRevision: bigint, listener: WatchListener): Promise<Watch> {
    return this.#store.watch(prefix, startRevision, listener)
  }

  compact(revision: bigint): Promise<void> {
    return this.#store.compact(revision)
  }

  grantLease(ttlSeconds: number): Promise<bigint> {
    return this.#store.grantLease(ttlSeconds)
  }

  keepLeaseAlive(lease: bigint): Promise<number> {
    return this.#store.keepLeaseAlive(lease)
  }

  revokeLease(lease: bigint): Promise<void> {
    return this.#store.revokeLease(lease)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#store[Symbol.asyncDispose]()
  }

  async #settled(transaction: Transaction): Promise<TransactionResult> {
    const deadline = this.#nowMs() + SETTLE_MS
    for (;;) {
      this.#last ??= (await this.#store.get(this.#key))?.modRevision ?? 0n
      const token = this.#nextToken()
      const result = await this.#attemptOnce(transaction, token, this.#last).catch(error =>
        this.#outcome(token, deadline, error),
      )
      if (result === 'not applied') {
        if (this.#nowMs() >= deadline) throw new HoldfastError('ERR_METADATA_UNAVAILABLE')
        continue
      }
      if (result.succeeded) {
        this.#last = result.revision
        return result
      }
      const now = result.found.at(-1)?.modRevision ?? 0n
      if (now === this.#last) return withoutLast(result)
      // Not what the caller compared was changed, but our key: by a process before us.
      this.#last = now
    }
  }

  async #attemptOnce(
    { compare, success, failure = [] }: Transaction,
    token: Buffer,
    last: bigint,
  ): Promise<TransactionResult> {
    const key = this.#key
    const result = await this.#store.transact({
      compare: [...compare, { key, target: 'modRevision', is: '=', value: last }],
      success: [...success, { do: 'put', key, value: token }],
      failure: [...failure, { do: 'get', key }],
    })
    return result.succeeded ? withoutLast(result) : result
  }

  /** After an error: whether our token is there, or else that it never will be. */
  async #outcome(
    token: Buffer,
    deadline: number,
    error: unknown,
  ): Promise<TransactionResult | 'not applied'> {
    if (!(error instanceof HoldfastError && error.code === 'ERR_METADATA_UNAVAILABLE')) throw error
    for (;;) {
      try {
        const entry = await this.#store.get(this.#key)
        if (entry?.value.equals(token)) return { succeeded: true, revision: entry.modRevision, found: [] }
        this.#last = await this.#overtake(entry?.modRevision ?? 0n)
        if (this.#last !== null) return 'not applied'
      } catch (again) {
        if (this.#nowMs() >= deadline) throw again
      }
      if (this.#nowMs() >= deadline) throw error
      await this.#sleep(ASK_EVERY_MS)
    }
  }

  /** Writes a token of its own over revision `seen`: what compares an older one can commit no more. */
  async #overtake(seen: bigint): Promise<bigint | null> {
    const key = this.#key
    const { succeeded, revision } = await this.#store.transact({
      compare: [{ key, target: 'modRevision', is: '=', value: seen }],
      success: [{ do: 'put', key, value: this.#nextToken() }],
    })
    return succeeded ? revision : null
  }

  #nextToken(): Buffer {
    return Buffer.from(`${this.#processId} ${++this.#attempt}`)
  }
}

function withoutLast(result: TransactionResult): TransactionResult {
  return { ...result, found: result.found.slice(0, -1) }
}
