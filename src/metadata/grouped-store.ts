import { HoldfastError } from '../errors/holdfast-error.ts'
import { invariant } from '../lib/invariant.ts'
import { compareHolds } from './compare-holds.ts'
import {
  type KeyValue,
  type MetadataStore,
  type Operation,
  type RangeResult,
  TRANSACTION_OPERATIONS_MAX,
  type Transaction,
  type TransactionResult,
  type Watch,
  type WatchListener,
} from './metadata-store.ts'
import { WaitingCalls } from './waiting-calls.ts'

/** So many groups of each kind are under way; what is asked for meanwhile makes the next one. */
const GROUPS_IN_FLIGHT_MAX = 2

interface Get {
  readonly key: string
}

interface Range {
  readonly prefix: string
  readonly limit: number
  readonly startAfter: string | undefined
}

/**
 * A store that makes one transaction of what many ask for at the same time, as the owners of a thousand volumes do when
 * a peer is lost. Each transaction keeps its own comparisons: where one of a group fails, that one learns of it and the
 * others are tried again. An error whose outcome is unknown is so for the whole group.
 */
export class GroupedStore implements MetadataStore {
  readonly #store: MetadataStore
  readonly #gets: WaitingCalls<Get, KeyValue | null>
  readonly #ranges: WaitingCalls<Range, RangeResult>
  readonly #transactions: WaitingCalls<Transaction, TransactionResult>

  constructor(store: MetadataStore) {
    this.#store = store
    this.#gets = new WaitingCalls(GROUPS_IN_FLIGHT_MAX, chooseGets, group => this.#getAll(group))
    this.#ranges = new WaitingCalls(GROUPS_IN_FLIGHT_MAX, chooseAlike, group => this.#rangeOnce(group))
    this.#transactions = new WaitingCalls(GROUPS_IN_FLIGHT_MAX, chooseApart, group =>
      this.#transactAll(group),
    )
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#gets.call({ key })
  }

  range(
    prefix: string,
    options: { readonly limit?: number; readonly startAfter?: string } = {},
  ): Promise<RangeResult> {
    return this.#ranges.call({ prefix, limit: options.limit ?? 0, startAfter: options.startAfter })
  }

  transact(transaction: Transaction): Promise<TransactionResult> {
    return this.#transactions.call(transaction)
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

  /** The store behind it as well. */
  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#store[Symbol.asyncDispose]()
  }

  async #getAll(group: readonly Get[]): Promise<(KeyValue | null)[]> {
    const keys = [...new Set(group.map(({ key }) => key))]
    if (keys.length === 1) return repeated(await this.#store.get(keys[0]!), group.length)
    const { found } = await this.#store.transact({ compare: [], success: keys.map(getOf) })
    const entries = new Map(keys.map((key, at) => [key, found[at] ?? null]))
    return group.map(({ key }) => entries.get(key) ?? null)
  }

  async #rangeOnce(group: readonly Range[]): Promise<RangeResult[]> {
    const { prefix, limit, startAfter } = group[0]!
    const options = startAfter === undefined ? { limit } : { limit, startAfter }
    return repeated(await this.#store.range(prefix, options), group.length)
  }

  /** Rejects when nothing is known of any of them; errors of single ones come as results. */
  async #transactAll(group: readonly Transaction[]): Promise<(TransactionResult | Error)[]> {
    if (group.length === 1) return [await this.#store.transact(group[0]!)]
    try {
      return await this.#transactTogether(group)
    } catch (error) {
      if (isOutcomeUnknown(error)) throw error
      // Nothing was applied, because of one of them.
      const alone = group.map(each => this.#store.transact(each).catch((refused: Error) => refused))
      return Promise.all(alone)
    }
  }

  async #transactTogether(group: readonly Transaction[]): Promise<(TransactionResult | Error)[]> {
    const compare = group.flatMap(each => each.compare)
    const success = group.flatMap(each => each.success)
    const failure = group.flatMap(readsOnFailure)
    const { succeeded, revision, found } = await this.#store.transact({ compare, success, failure })
    const left = [...found]
    const next = (count: number) => left.splice(0, count)
    if (succeeded) return group.map(({ success: own }) => ({ succeeded, revision, found: next(own.length) }))
    const results = group.map(each => {
      const compared = next(each.compare.length)
      const own = { succeeded, revision, found: next(each.failure?.length ?? 0) }
      return each.compare.every((one, i) => compareHolds(one, compared[i] ?? null)) ? null : own
    })
    const others = group.filter((_, i) => results[i] === null)
    invariant(others.length < group.length, 'a transaction fails by one of its comparisons')
    const again = others.length === 0 ? [] : await this.#transactAll(others)
    return results.map(result => result ?? again.shift()!)
  }
}

function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'ERR_METADATA_UNAVAILABLE'
}

function repeated<T>(value: T, times: number): T[] {
  return Array.from({ length: times }, () => value)
}

function getOf(key: string): Operation {
  return { do: 'get', key }
}

/** What tells, when a group fails, whose comparisons did: its keys, then what it wants to know itself. */
function readsOnFailure({ compare, failure = [] }: Transaction): Operation[] {
  return [...compare.map(({ key }) => getOf(key)), ...failure]
}

function chooseGets(waiting: readonly Get[]): boolean[] {
  return waiting.map((_, at) => at < TRANSACTION_OPERATIONS_MAX)
}

function chooseAlike(waiting: readonly Range[]): boolean[] {
  const first = waiting[0]!
  return waiting.map(
    ({ prefix, limit, startAfter }) =>
      prefix === first.prefix && limit === first.limit && startAfter === first.startAfter,
  )
}

/** As many as fit into one transaction and have no key in common; one that changes something when it fails goes alone. */
function chooseApart(waiting: readonly Transaction[]): boolean[] {
  const keys = new Set<string>()
  const sizes = { compares: 0, changes: 0, reads: 0 }
  let count = 0
  for (const transaction of waiting) {
    const { compare, success, failure = [] } = transaction
    sizes.compares += compare.length
    sizes.changes += success.length
    sizes.reads += compare.length + failure.length
    const own = keysOf(transaction)
    const fits = Math.max(...Object.values(sizes)) <= TRANSACTION_OPERATIONS_MAX
    if (!fits || !isSimple(transaction) || own.some(key => keys.has(key))) break
    for (const key of own) keys.add(key)
    count++
  }
  return waiting.map((_, at) => at < Math.max(1, count))
}

function keysOf({ compare, success, failure = [] }: Transaction): string[] {
  const operations = [...success, ...failure]
  return [
    ...compare.map(({ key }) => key),
    ...operations.flatMap(operation => (operation.do === 'deletePrefix' ? [] : operation.key)),
  ]
}

function isSimple({ success, failure = [] }: Transaction): boolean {
  return (
    success.every(({ do: what }) => what !== 'deletePrefix') &&
    failure.every(({ do: what }) => what === 'get')
  )
}
