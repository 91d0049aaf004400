import type { Etcd3, ILeaseKeepAliveResponse, IRangeResponse } from 'etcd3'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import type {
  KeyValue,
  MetadataStore,
  RangeResult,
  Transaction,
  TransactionResult,
  Watch,
  WatchListener,
} from '../metadata-store.ts'
import { checkTransaction } from '../transaction-rules.ts'
import { EtcdKeys } from './etcd-codec.ts'
import { EtcdEndpoints, type EtcdEndpointsOptions } from './etcd-endpoints.ts'
import { EtcdWatch } from './etcd-watch.ts'

export interface EtcdStoreOptions extends EtcdEndpointsOptions {
  /** What our keys begin with in there. */
  readonly keyPrefix?: string
}

const KEY_PREFIX_DEFAULT = 'holdfast/'
/** Keys per request when all are asked for: an answer stays well below 4 MiB. */
const PAGE_KEYS = 500
const KEEPALIVE_DEADLINE_MS = 2000

/**
 * The metadata in etcd, through etcd3 with its retries, circuit breakers and watchers left out. The outcome of
 * a transaction that rejects with ERR_METADATA_UNAVAILABLE is unknown.
 */
class EtcdStore implements MetadataStore {
  readonly #endpoints: EtcdEndpoints
  readonly #keys: EtcdKeys
  readonly #watches = new Set<EtcdWatch>()
  #closed = false

  constructor(options: EtcdStoreOptions) {
    this.#endpoints = new EtcdEndpoints(options)
    this.#keys = new EtcdKeys(options.keyPrefix ?? KEY_PREFIX_DEFAULT)
  }

  async get(key: string): Promise<KeyValue | null> {
    this.#refuseIfClosed()
    const { kvs } = await this.#endpoints.callAny(client => client.kv.range({ key: this.#keys.encode(key) }))
    return kvs[0] === undefined ? null : this.#keys.entry(kvs[0])
  }

  async range(
    prefix: string,
    options: { readonly limit?: number; readonly startAfter?: string } = {},
  ): Promise<RangeResult> {
    this.#refuseIfClosed()
    const { limit = 0, startAfter } = options
    const entries: KeyValue[] = []
    let after = startAfter
    let revision = 0n
    for (;;) {
      const wanted = limit === 0 ? PAGE_KEYS : Math.min(PAGE_KEYS, limit - entries.length)
      const page = await this.#page(prefix, after, wanted, revision)
      // Later pages are read as of the first one.
      revision ||= BigInt(page.header.revision)
      entries.push(...page.kvs.map(kv => this.#keys.entry(kv)))
      after = entries.at(-1)?.key
      if (!page.more || entries.length === limit) return { entries, revision, more: page.more }
    }
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    this.#refuseIfClosed()
    checkTransaction(transaction)
    const { success, failure = [], compare } = transaction
    const request = {
      compare: compare.map(one => this.#keys.compare(one)),
      success: success.map(one => this.#keys.operation(one)),
      failure: failure.map(one => this.#keys.operation(one)),
    }
    const carryOut = (client: Etcd3) => client.kv.txn(request)
    const reads = [...success, ...failure].every(one => one.do === 'get')
    const result = await (reads ? this.#endpoints.callAny(carryOut) : this.#endpoints.call(carryOut))
    const found = result.responses.map(response => {
      const kv = response.response_range?.kvs[0]
      return kv === undefined ? null : this.#keys.entry(kv)
    })
    return { succeeded: result.succeeded, revision: BigInt(result.header.revision), found }
  }

  async watch(prefix: string, startRevision: bigint, listener: WatchListener): Promise<Watch> {
    this.#refuseIfClosed()
    const start = startRevision > 0n ? startRevision : (await this.#revision()) + 1n
    const ended = (watch: EtcdWatch) => this.#watches.delete(watch)
    const watch = new EtcdWatch(this.#endpoints, this.#keys, prefix, start, listener, ended)
    this.#watches.add(watch)
    return watch
  }

  async compact(revision: bigint): Promise<void> {
    this.#refuseIfClosed()
    try {
      await this.#endpoints.callAny(client => client.kv.compact({ revision: revision.toString() }))
    } catch (error) {
      const { cause } = error as HoldfastError
      if (cause instanceof Error && /required revision has been compacted/.test(cause.message)) return
      throw error
    }
  }

  async grantLease(ttlSeconds: number): Promise<bigint> {
    this.#refuseIfClosed()
    const TTL = Math.max(1, Math.ceil(ttlSeconds))
    const { ID } = await this.#endpoints.call(client => client.leaseClient.leaseGrant({ TTL }))
    return BigInt(ID)
  }

  async keepLeaseAlive(lease: bigint): Promise<number> {
    this.#refuseIfClosed()
    const { TTL } = await this.#endpoints.callAny(client => keepAliveOnce(client, lease))
    return Math.max(0, Number(TTL))
  }

  async revokeLease(lease: bigint): Promise<void> {
    this.#refuseIfClosed()
    try {
      await this.#endpoints.callAny(client => client.leaseClient.leaseRevoke({ ID: lease.toString() }))
    } catch (error) {
      if ((error as HoldfastError).code !== 'ERR_METADATA_LEASE') throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const watch of [...this.#watches]) await watch[Symbol.asyncDispose]()
    this.#endpoints.close()
  }

  async #page(
    prefix: string,
    after: string | undefined,
    limit: number,
    revision: bigint,
  ): Promise<IRangeResponse> {
    const range = this.#keys.range(prefix)
    // The smallest key after another one is that key with a zero byte appended.
    const next = after === undefined ? range.key : Buffer.concat([this.#keys.encode(after), Buffer.of(0)])
    const key = Buffer.compare(range.key, next) > 0 ? range.key : next
    return this.#endpoints.callAny(client =>
      client.kv.range({ key, range_end: range.range_end, limit, revision: revision.toString() }),
    )
  }

  async #revision(): Promise<bigint> {
    const range = { ...this.#keys.range(''), count_only: true }
    const { header } = await this.#endpoints.callAny(client => client.kv.range(range))
    return BigInt(header.revision)
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new HoldfastError('ERR_METADATA_UNAVAILABLE', 'the metadata store is closed')
  }
}

/** A stream of its own with a deadline: etcd3's long one notices a silent member only after a whole TTL. */
async function keepAliveOnce(client: Etcd3, lease: bigint): Promise<ILeaseKeepAliveResponse> {
  const stream = await client.leaseClient.leaseKeepAlive({ deadline: Date.now() + KEEPALIVE_DEADLINE_MS })
  try {
    return await new Promise((resolve, reject) => {
      stream.on('data', resolve)
      stream.on('error', reject)
      stream.on('end', () => reject(new Error('the keepalive stream ended without an answer')))
      stream.write({ ID: lease.toString() })
    })
  } finally {
    stream.cancel()
  }
}

/** Connects lazily: the first call finds out whether etcd is there. */
export function openEtcdStore(options: EtcdStoreOptions): MetadataStore {
  return new EtcdStore(options)
}
