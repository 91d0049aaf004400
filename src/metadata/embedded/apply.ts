import { HoldfastError } from '../../errors/holdfast-error.ts'
import { compareHolds } from '../compare-holds.ts'
import type { KeyValue, Operation, Transaction, WatchEvent } from '../metadata-store.ts'
import {
  attachedKey,
  currentKey,
  decodeRecord,
  encodeEvent,
  encodeRecord,
  encodeU64,
  endOfPrefix,
  historyKey,
  keyOfAttached,
  keyOfCurrent,
  leaseKey,
  metaKey,
} from './tables.ts'

/** What applying needs of LMDB, inside its write transaction: everything is synchronous there. */
export interface Tables {
  get(key: Buffer): Buffer | undefined
  put(key: Buffer, value: Buffer): unknown
  remove(key: Buffer): unknown
  getRange(range: {
    start: Buffer
    end: Buffer
    limit?: number
  }): Iterable<{ key: Uint8Array; value: Buffer }>
  getKeys(range: { start: Buffer; end: Buffer; limit?: number }): Iterable<Uint8Array>
}

export interface Applied {
  readonly succeeded: boolean
  /** The newest revision afterwards: one higher iff there are events. */
  readonly revision: bigint
  readonly found: readonly (KeyValue | null)[]
  readonly events: readonly WatchEvent[]
}

/** An empty etcd answers revision 1, so the first change is revision 2. */
const FIRST_REVISION = 1n
const NO_BYTES = Buffer.alloc(1)

export function readRevision(tables: Tables): bigint {
  return tables.get(metaKey('revision'))?.readBigUInt64BE() ?? FIRST_REVISION
}

export function readCompacted(tables: Tables): bigint {
  return tables.get(metaKey('compacted'))?.readBigUInt64BE() ?? 0n
}

export function readKey(tables: Tables, key: string): KeyValue | null {
  const bytes = tables.get(currentKey(key))
  return bytes === undefined ? null : decodeRecord(key, bytes)
}

/** The changes of one revision while they are being made. */
class Revision {
  readonly #tables: Tables
  readonly events: WatchEvent[] = []
  readonly number: bigint

  constructor(tables: Tables) {
    this.#tables = tables
    this.number = readRevision(tables) + 1n
  }

  put(key: string, value: Buffer, lease: bigint): void {
    const before = readKey(this.#tables, key)
    const entry: KeyValue = {
      key,
      value: Buffer.from(value),
      createRevision: before?.createRevision ?? this.number,
      modRevision: this.number,
      version: (before?.version ?? 0n) + 1n,
      lease,
    }
    if (before !== null && before.lease !== 0n) this.#tables.remove(attachedKey(before.lease, key))
    if (lease !== 0n) this.#tables.put(attachedKey(lease, key), NO_BYTES)
    this.#tables.put(currentKey(key), encodeRecord(entry))
    this.#record({ type: 'put', entry })
  }

  delete(key: string): void {
    const before = readKey(this.#tables, key)
    if (before === null) return
    if (before.lease !== 0n) this.#tables.remove(attachedKey(before.lease, key))
    this.#tables.remove(currentKey(key))
    this.#record({ type: 'delete', key, modRevision: this.number })
  }

  deletePrefix(prefix: string): void {
    const start = currentKey(prefix)
    for (const key of [...this.#tables.getKeys({ start, end: endOfPrefix(start) })]) {
      this.delete(keyOfCurrent(key))
    }
  }

  #record(event: WatchEvent): void {
    if (this.events.length === 0) this.#tables.put(metaKey('revision'), encodeU64(this.number))
    this.#tables.put(historyKey(this.number, this.events.length), encodeEvent(event))
    this.events.push(event)
  }

  /** The newest revision now: a transaction that changed nothing has none of its own. */
  get newest(): bigint {
    return this.events.length === 0 ? this.number - 1n : this.number
  }
}

function checkLeases(tables: Tables, operations: readonly Operation[]): void {
  for (const operation of operations) {
    const lease = operation.do === 'put' ? (operation.lease ?? 0n) : 0n
    if (lease !== 0n && tables.get(leaseKey(lease)) === undefined) {
      throw new HoldfastError('ERR_METADATA_LEASE', `lease ${lease} is gone`)
    }
  }
}

/** Applies a checked transaction in one revision. Throws before it changes anything. */
export function applyTransaction(tables: Tables, transaction: Transaction): Applied {
  const succeeded = transaction.compare.every(one => compareHolds(one, readKey(tables, one.key)))
  const operations = succeeded ? transaction.success : (transaction.failure ?? [])
  checkLeases(tables, operations)
  const revision = new Revision(tables)
  const found = operations.map(operation => {
    if (operation.do === 'get') return readKey(tables, operation.key)
    if (operation.do === 'put') revision.put(operation.key, operation.value, operation.lease ?? 0n)
    else if (operation.do === 'delete') revision.delete(operation.key)
    else revision.deletePrefix(operation.prefix)
    return null
  })
  return { succeeded, revision: revision.newest, found, events: revision.events }
}

/** Deletes a lease and, in one revision, every key that hangs on it. */
export function applyRevoke(tables: Tables, lease: bigint): Applied {
  const revision = new Revision(tables)
  const start = attachedKey(lease)
  const end = attachedKey(lease + 1n)
  for (const mark of [...tables.getKeys({ start, end })]) revision.delete(keyOfAttached(mark))
  tables.remove(leaseKey(lease))
  return { succeeded: true, revision: revision.newest, found: [], events: revision.events }
}
