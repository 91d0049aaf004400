import { randomBytes } from 'node:crypto'
import { mkdir, open as openFile } from 'node:fs/promises'
import { open, type RootDatabase } from 'lmdb'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import { type DirectoryLock, lockDirectory } from '../../lib/directory-lock.ts'
import { committed, DURABLE_LMDB, mayBeLmdb } from '../../lib/durable-lmdb.ts'
import type {
  KeyValue,
  MetadataStore,
  RangeResult,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
  WatchListener,
} from '../metadata-store.ts'
import { checkTransaction } from '../transaction-rules.ts'
import {
  type Applied,
  applyRevoke,
  applyTransaction,
  readCompacted,
  readKey,
  readRevision,
  type Tables,
} from './apply.ts'
import { checkFormat } from './format.ts'
import { LeaseClock, type MonotonicClock, processClock } from './lease-clock.ts'
import {
  currentKey,
  decodeEvent,
  decodeRecord,
  encodeU64,
  endOfPrefix,
  HISTORY_END,
  historyKey,
  KEY_BYTES_MAX,
  keyOfCurrent,
  LEASES_END,
  LEASES_START,
  leaseKey,
  leaseOfKey,
  metaKey,
  revisionOfHistory,
  VALUE_BYTES_MAX,
} from './tables.ts'
import { type History, WatchHub } from './watch-hub.ts'

export interface EmbeddedStoreOptions {
  /** Made if it is not there, for its owner's eyes only: it holds CHAP secrets. One daemon at a time. */
  readonly directory: string
  readonly clock?: MonotonicClock
  /** Compacts by itself once twice as many revisions are kept. */
  readonly historyRevisions?: number
}

const HISTORY_REVISIONS_DEFAULT = 10_000
/** History entries that one transaction forgets: the loop is held for about 5 ms. */
const FORGET_BATCH = 1000
const LEASE_TTL_SECONDS_MIN = 1
/** A lease that is over is deleted as soon as the disk takes writes again. */
const REVOKE_RETRY_MS = 1000

function unavailable(verb: 'read' | 'write', cause: Error): HoldfastError {
  const isFull = /No space left/.test(cause.message)
  const why = isFull ? 'its disk is full' : cause.message
  const message = `the metadata store could not ${verb}: ${why}`
  return new HoldfastError('ERR_METADATA_UNAVAILABLE', message, { cause })
}

function* decodeEvents(entries: Iterable<{ key: Uint8Array; value: Buffer }>): Generator<WatchEvent> {
  for (const { key, value } of entries) yield decodeEvent(value, revisionOfHistory(key))
}

class EmbeddedStore implements MetadataStore {
  readonly #db: RootDatabase<Buffer, Buffer>
  readonly #lock: DirectoryLock
  readonly #tables: Tables
  readonly #hub: WatchHub
  readonly #clock: MonotonicClock
  readonly #leases: LeaseClock
  readonly #historyRevisions: number
  #closed = false
  #forgetting: Promise<void> = Promise.resolve()

  constructor(
    db: RootDatabase<Buffer, Buffer>,
    lock: DirectoryLock,
    clock: MonotonicClock,
    historyRevisions: number,
  ) {
    this.#db = db
    this.#lock = lock
    this.#tables = db as unknown as Tables
    this.#historyRevisions = historyRevisions
    this.#clock = clock
    this.#leases = new LeaseClock(clock, expired => {
      for (const lease of expired) this.#revokeExpired(lease)
    })
    this.#hub = new WatchHub(this.#history())
    for (const { key, value } of this.#tables.getRange({ start: LEASES_START, end: LEASES_END })) {
      this.#leases.add(leaseOfKey(key), value.readUInt32BE())
    }
    this.#startForgetting()
  }

  async get(key: string): Promise<KeyValue | null> {
    return this.#read(() => readKey(this.#tables, key))
  }

  async range(
    prefix: string,
    options: { readonly limit?: number; readonly startAfter?: string } = {},
  ): Promise<RangeResult> {
    return this.#read(() => this.#rangeNow(prefix, options.limit ?? 0, options.startAfter))
  }

  #rangeNow(prefix: string, limit: number, startAfter: string | undefined): RangeResult {
    const first = currentKey(prefix)
    // The smallest key after another one is that key with a zero byte appended.
    const after = startAfter === undefined ? first : Buffer.concat([currentKey(startAfter), Buffer.of(0)])
    const start = Buffer.compare(first, after) > 0 ? first : after
    const entries: KeyValue[] = []
    let more = false
    for (const { key, value } of this.#tables.getRange({ start, end: endOfPrefix(first) })) {
      more = limit > 0 && entries.length === limit
      if (more) break
      entries.push(decodeRecord(keyOfCurrent(key), value))
    }
    return { entries, revision: readRevision(this.#tables), more }
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction)
    for (const operation of [...transaction.success, ...(transaction.failure ?? [])]) {
      if (operation.do !== 'put') continue
      const tooLong = Buffer.byteLength(operation.key) > KEY_BYTES_MAX
      if (tooLong || operation.value.length > VALUE_BYTES_MAX) {
        const what = `'${operation.key.slice(0, 64)}': the ${tooLong ? 'key' : 'value'} is too long`
        throw new HoldfastError('ERR_ARGUMENT_INVALID', `metadata transaction refused: ${what}`)
      }
    }
    const { succeeded, revision, found } = await this.#apply(() =>
      applyTransaction(this.#tables, transaction),
    )
    return { succeeded, revision, found }
  }

  async watch(prefix: string, startRevision: bigint, listener: WatchListener): Promise<Watch> {
    const start = this.#read(() => (startRevision > 0n ? startRevision : readRevision(this.#tables) + 1n))
    return this.#hub.watch(prefix, start, listener)
  }

  async compact(revision: bigint): Promise<void> {
    await this.#commit(() => {
      if (revision > readRevision(this.#tables)) {
        throw new HoldfastError('ERR_ARGUMENT_INVALID', `revision ${revision} is in the future`)
      }
      if (revision > readCompacted(this.#tables)) {
        this.#tables.put(metaKey('compacted'), encodeU64(revision))
      }
    })
    this.#startForgetting()
    await this.#forgetting
  }

  async grantLease(ttlSeconds: number): Promise<bigint> {
    const ttl = Math.max(LEASE_TTL_SECONDS_MIN, Math.ceil(ttlSeconds))
    const lease = (randomBytes(8).readBigUInt64BE() >> 1n) | 1n
    const value = Buffer.alloc(4)
    value.writeUInt32BE(ttl)
    await this.#commit(() => this.#tables.put(leaseKey(lease), value))
    this.#leases.add(lease, ttl)
    return lease
  }

  async keepLeaseAlive(lease: bigint): Promise<number> {
    this.#refuseIfClosed()
    return this.#leases.renew(lease)
  }

  async revokeLease(lease: bigint): Promise<void> {
    this.#leases.remove(lease)
    await this.#apply(() => applyRevoke(this.#tables, lease))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#leases.stop()
    this.#hub.closeAll()
    await this.#forgetting
    await this.#db.close()
    this.#lock.release()
  }

  #history(): History {
    const tables = this.#tables
    return {
      readFrom: revision => {
        this.#db.resetReadTxn()
        const range = { start: historyKey(revision), end: HISTORY_END }
        return {
          newest: readRevision(tables),
          compacted: readCompacted(tables),
          events: decodeEvents(tables.getRange(range)),
        }
      },
    }
  }

  #revokeExpired(lease: bigint): void {
    this.revokeLease(lease).catch(() => {
      if (!this.#closed) this.#clock.after(REVOKE_RETRY_MS, () => this.#revokeExpired(lease))
    })
  }

  /** `read` sees every transaction that has resolved. */
  #read<T>(read: () => T): T {
    this.#refuseIfClosed()
    try {
      this.#db.resetReadTxn()
      return read()
    } catch (error) {
      throw unavailable('read', error as Error)
    }
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new HoldfastError('ERR_METADATA_UNAVAILABLE', 'the metadata store is closed')
  }

  async #apply(change: () => Applied): Promise<Applied> {
    const applied = await this.#commit(change)
    if (applied.events.length > 0) {
      this.#hub.committed(applied.events, applied.revision)
      const kept = applied.revision - readCompacted(this.#tables)
      if (kept >= 2 * this.#historyRevisions) {
        this.compact(applied.revision - BigInt(this.#historyRevisions)).catch(() => {})
      }
    }
    return applied
  }

  /**
   * Runs `change` in a write transaction and resolves when that is on the disk. LMDB never writes over what is
   * referenced: a commit that fails, on a full disk for example, leaves everything as it was.
   */
  async #commit<T>(change: () => T): Promise<T> {
    this.#refuseIfClosed()
    try {
      // A child transaction: if `change` throws, nothing of it stays in the batch that LMDB commits.
      return await committed(this.#db.childTransaction(change))
    } catch (error) {
      throw error instanceof HoldfastError ? error : unavailable('write', error as Error)
    }
  }

  #startForgetting(): void {
    this.#forgetting = this.#forgetting.then(() => this.#forget()).catch(() => {})
  }

  async #forget(): Promise<void> {
    for (;;) {
      if (this.#closed) return
      this.#db.resetReadTxn()
      const range = {
        start: historyKey(0n),
        end: historyKey(readCompacted(this.#tables)),
        limit: FORGET_BATCH,
      }
      const old = [...this.#tables.getKeys(range)].map(key => Buffer.from(key))
      if (old.length === 0) return
      await this.#commit(() => {
        for (const key of old) this.#tables.remove(key)
      })
    }
  }
}

/** A new file is only there after a power cut if its directory was synced. */
async function syncDirectory(directory: string): Promise<void> {
  await using handle = await openFile(directory)
  await handle.sync()
}

/**
 * Opens the metadata of a single machine. Rejects with ERR_METADATA_FORMAT when what is there was written by a
 * newer version or by something else, ERR_METADATA_LOCKED when another daemon has it. Every lease that was alive
 * starts its TTL afresh, as after etcd's restart.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<MetadataStore> {
  const { directory, clock = processClock, historyRevisions = HISTORY_REVISIONS_DEFAULT } = options
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const lock = lockDirectory(
    directory,
    why => new HoldfastError('ERR_METADATA_LOCKED', `the metadata in ${directory} is in use: ${why}`),
  )
  let db: RootDatabase<Buffer, Buffer> | null = null
  try {
    if (!mayBeLmdb(directory)) throw damaged(directory, 'data.mdb is not a database')
    const opened = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      ...DURABLE_LMDB,
    })
    db = opened
    await checkFormat(opened as unknown as Tables, change => opened.transaction(change), directory)
    await syncDirectory(directory)
    return new EmbeddedStore(opened, lock, clock, historyRevisions)
  } catch (error) {
    await db?.close()
    lock.release()
    const { message } = error as Error
    throw /^MDB_(?:CORRUPTED|INVALID|PAGE_NOTFOUND)/.test(message)
      ? damaged(directory, message, error)
      : error
  }
}

function damaged(directory: string, why: string, cause?: unknown): HoldfastError {
  return new HoldfastError('ERR_METADATA_FORMAT', `the metadata in ${directory} is damaged: ${why}`, {
    cause,
  })
}
