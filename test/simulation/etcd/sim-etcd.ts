import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type {
  Compare,
  KeyValue,
  Operation,
  Transaction,
  TransactionResult,
  WatchEvent,
} from '../../../src/metadata/metadata-store.ts'
import { checkTransaction } from '../../../src/metadata/transaction-rules.ts'
import type { EventLoop } from '../world/event-loop.ts'
import type { Random } from '../world/random.ts'
import type { Tally } from '../world/tally.ts'
import type { EtcdTrouble } from './sim-etcd-client.ts'

const LEASE_SCAN_EVERY_MS = 500

interface Lease {
  readonly id: bigint
  readonly ttlMs: number
  expiresAtMs: number
}

export interface Revision {
  readonly number: bigint
  readonly events: readonly WatchEvent[]
}

export type CommitListener = (revision: Revision) => void

/**
 * The replicated state machine of an etcd cluster: what is committed, its leases, and whether it can commit now.
 * Its clients (sim-etcd-client.ts) add the ways in which a caller learns less than that.
 */
export class SimEtcd {
  readonly loop: EventLoop
  readonly random: Random
  readonly tally: Tally
  readonly history: Revision[] = []
  /** Called with every transaction before it is sent, and who sends it. */
  readonly taps = new Set<(trouble: EtcdTrouble, transaction: Transaction) => void>()
  /** Called in the order of their making, right after each revision. The checker comes first. */
  readonly listeners: CommitListener[] = []
  /** Leases that are gone, but a leader who does not know it yet confirms their keepalives until then. */
  readonly #confirmedUntil = new Map<bigint, number>()
  readonly #entries = new Map<string, KeyValue>()
  readonly #leases = new Map<bigint, Lease>()
  #revision = 1n
  #nextLease = 1n
  #noLeaderUntilMs = 0

  constructor(loop: EventLoop, random: Random, tally: Tally) {
    this.loop = loop
    this.random = random
    this.tally = tally
    this.#scanLeases()
  }

  get revision(): bigint {
    return this.#revision
  }

  /** When a leader can commit again; in the past when there is one. */
  get noLeaderUntilMs(): number {
    return this.#noLeaderUntilMs
  }

  read(key: string): KeyValue | null {
    return this.#entries.get(key) ?? null
  }

  list(prefix: string): KeyValue[] {
    const found = [...this.#entries.values()].filter(entry => entry.key.startsWith(prefix))
    return found.sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  transact(transaction: Transaction): TransactionResult {
    checkTransaction(transaction)
    const succeeded = transaction.compare.every(compare => this.#holds(compare))
    const operations = succeeded ? transaction.success : (transaction.failure ?? [])
    for (const operation of operations) {
      const lease = operation.do === 'put' ? (operation.lease ?? 0n) : 0n
      if (lease !== 0n && !this.#leases.has(lease)) throw new HoldfastError('ERR_METADATA_LEASE')
    }
    const events: WatchEvent[] = []
    const found = operations.map(operation => this.#apply(operation, events))
    this.#commit(events)
    return { succeeded, revision: this.#revision, found }
  }

  grantLease(ttlSeconds: number): bigint {
    const id = this.#nextLease++
    const ttlMs = Math.max(2, Math.ceil(ttlSeconds)) * 1000
    this.#leases.set(id, { id, ttlMs, expiresAtMs: this.loop.nowMs + ttlMs })
    return id
  }

  keepLeaseAlive(id: bigint): number {
    const lease = this.#leases.get(id)
    if (lease === undefined) {
      return (this.#confirmedUntil.get(id) ?? 0) > this.loop.nowMs ? 5 : 0
    }
    lease.expiresAtMs = this.loop.nowMs + lease.ttlMs
    return lease.ttlMs / 1000
  }

  revokeLease(id: bigint): void {
    if (!this.#leases.delete(id)) return
    const events: WatchEvent[] = []
    for (const entry of this.list('')) {
      if (entry.lease === id) this.#apply({ do: 'delete', key: entry.key }, events)
    }
    this.#commit(events)
  }

  /** A leader is elected; leases begin afresh, so they may live longer than anybody counted. */
  elect(durationMs: number): void {
    this.tally.add('etcd election')
    this.#noLeaderUntilMs = this.loop.nowMs + durationMs
    for (const lease of this.#leases.values()) lease.expiresAtMs = this.#noLeaderUntilMs + lease.ttlMs
  }

  /** A lease ends long before its time, and for a while a stale leader still confirms it. */
  revokeEarly(confirmMs: number): boolean {
    const ids = [...this.#leases.keys()]
    if (ids.length === 0) return false
    this.revokeOf(this.random.pick(ids), confirmMs)
    return true
  }

  revokeOf(id: bigint, confirmMs: number): void {
    this.#confirmedUntil.set(id, this.loop.nowMs + confirmMs)
    this.tally.add(confirmMs > 0 ? 'etcd stale leader confirms' : 'etcd lease revoked early')
    this.revokeLease(id)
  }

  /** What a backup of this moment would hold. */
  backup(): { entries: KeyValue[]; revision: bigint } {
    return { entries: this.list(''), revision: this.#revision }
  }

  /** Somebody restores a backup: revisions that others have seen never happened. */
  restore(backup: { entries: KeyValue[]; revision: bigint }): void {
    this.#entries.clear()
    for (const entry of backup.entries) {
      if (entry.lease === 0n || this.#leases.has(entry.lease)) this.#entries.set(entry.key, entry)
    }
    this.#revision = backup.revision
    this.history.length = 0
  }

  #commit(events: WatchEvent[]): void {
    if (events.length === 0) return
    this.#revision++
    const revision = { number: this.#revision, events }
    this.history.push(revision)
    for (const listener of this.listeners) listener(revision)
  }

  #apply(operation: Operation, events: WatchEvent[]): KeyValue | null {
    const next = this.#revision + 1n
    switch (operation.do) {
      case 'get':
        return this.read(operation.key)
      case 'put': {
        const before = this.#entries.get(operation.key)
        const entry: KeyValue = {
          key: operation.key,
          value: Buffer.from(operation.value),
          createRevision: before?.createRevision ?? next,
          modRevision: next,
          version: (before?.version ?? 0n) + 1n,
          lease: operation.lease ?? 0n,
        }
        this.#entries.set(entry.key, entry)
        events.push({ type: 'put', entry })
        return null
      }
      case 'delete':
        if (this.#entries.delete(operation.key))
          events.push({ type: 'delete', key: operation.key, modRevision: next })
        return null
      case 'deletePrefix':
        for (const { key } of this.list(operation.prefix)) this.#apply({ do: 'delete', key }, events)
        return null
    }
  }

  #holds(compare: Compare): boolean {
    const entry = this.#entries.get(compare.key)
    if (compare.target === 'value') {
      return entry !== undefined && entry.value.equals(compare.value) === (compare.is === '=')
    }
    const actual = entry?.[compare.target] ?? 0n
    if (compare.is === '=') return actual === compare.value
    if (compare.is === '!=') return actual !== compare.value
    return compare.is === '>' ? actual > compare.value : actual < compare.value
  }

  #scanLeases(): void {
    this.loop.after(LEASE_SCAN_EVERY_MS, () => {
      const now = this.loop.nowMs
      if (now >= this.#noLeaderUntilMs) {
        for (const lease of [...this.#leases.values()]) {
          if (lease.expiresAtMs <= now) {
            this.tally.add('lease expired')
            this.revokeLease(lease.id)
          }
        }
      }
      this.#scanLeases()
    })
  }
}
