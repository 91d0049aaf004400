import { HoldfastError } from '../../../src/errors/holdfast-error.ts'
import type {
  KeyValue,
  MetadataStore,
  RangeResult,
  Transaction,
  TransactionResult,
  Watch,
  WatchEvent,
  WatchListener,
} from '../../../src/metadata/metadata-store.ts'
import type { SimProcess } from '../world/sim-process.ts'
import type { Revision, SimEtcd } from './sim-etcd.ts'

/** As the real client's deadline per call. */
const CALL_DEADLINE_MS = 2000
/** A request that waits for a leader is proposed up to this long after its caller gave up. */
const PROPOSED_LATE_MS_MAX = 1500

/** What goes wrong between one daemon and etcd at present; the nemesis turns these. */
export interface EtcdTrouble {
  /** Nothing gets through, in either direction. */
  cut: boolean
  /** Chance that a request never arrives, and that an answer never does. */
  requestLoss: number
  answerLoss: number
  watchLagMs: number
}

function calm(): EtcdTrouble {
  return { cut: false, requestLoss: 0, answerLoss: 0, watchLagMs: 5 }
}

/** etcd as one daemon has it: slow, deaf for a while, and silent about what it did. */
export class SimEtcdClient implements MetadataStore {
  readonly trouble: EtcdTrouble
  readonly #etcd: SimEtcd
  readonly #process: SimProcess
  readonly #watches = new Set<SimWatch>()

  constructor(etcd: SimEtcd, process: SimProcess, trouble: EtcdTrouble = calm()) {
    this.trouble = trouble
    this.#etcd = etcd
    this.#process = process
    etcd.listeners.push(this.#committed)
  }

  calmDown(): void {
    Object.assign(this.trouble, calm())
    for (const watch of this.#watches) watch.wake()
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#call(() => this.#etcd.read(key))
  }

  range(
    prefix: string,
    options: { readonly limit?: number; readonly startAfter?: string } = {},
  ): Promise<RangeResult> {
    return this.#call(() => {
      const { limit = 0, startAfter = '' } = options
      const all = this.#etcd.list(prefix).filter(entry => entry.key > startAfter)
      const entries = limit === 0 ? all : all.slice(0, limit)
      return { entries, revision: this.#etcd.revision, more: entries.length < all.length }
    })
  }

  transact(transaction: Transaction): Promise<TransactionResult> {
    for (const tap of this.#etcd.taps) tap(this.trouble, transaction)
    return this.#call(() => this.#etcd.transact(transaction))
  }

  watch(prefix: string, startRevision: bigint, listener: WatchListener): Promise<Watch> {
    return this.#call(() => {
      const from = startRevision > 0n ? startRevision : this.#etcd.revision + 1n
      const watch = new SimWatch(this.#etcd, this.#process, this.trouble, prefix, from, listener)
      this.#watches.add(watch)
      watch.wake()
      return {
        [Symbol.asyncDispose]: async () => {
          watch.closed = true
          this.#watches.delete(watch)
        },
      }
    })
  }

  compact(): Promise<void> {
    return this.#call(() => undefined)
  }

  grantLease(ttlSeconds: number): Promise<bigint> {
    return this.#call(() => this.#etcd.grantLease(ttlSeconds))
  }

  keepLeaseAlive(lease: bigint): Promise<number> {
    return this.#call(() => this.#etcd.keepLeaseAlive(lease))
  }

  revokeLease(lease: bigint): Promise<void> {
    return this.#call(() => this.#etcd.revokeLease(lease))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) watch.closed = true
    this.#watches.clear()
  }

  /** The process is gone. */
  detach(): void {
    for (const watch of this.#watches) watch.closed = true
    this.#watches.clear()
    const at = this.#etcd.listeners.indexOf(this.#committed)
    if (at >= 0) this.#etcd.listeners.splice(at, 1)
  }

  readonly #committed = (_: Revision): void => {
    for (const watch of this.#watches) watch.wake()
  }

  #call<T>(apply: () => T): Promise<T> {
    const { loop, random, tally } = this.#etcd
    const process = this.#process
    return new Promise<T>((resolve, reject) => {
      let settled = false
      const settle = (fn: () => void) => {
        if (settled) return
        settled = true
        fn()
      }
      process.after(CALL_DEADLINE_MS, () =>
        settle(() => reject(new HoldfastError('ERR_METADATA_UNAVAILABLE', 'etcd did not answer in time'))),
      )
      const arriveMs = random.between(0.3, 2)
      loop.after(arriveMs, () => {
        if (this.trouble.cut || random.chance(this.trouble.requestLoss)) return
        const waitMs = this.#etcd.noLeaderUntilMs - loop.nowMs
        if (waitMs > CALL_DEADLINE_MS + PROPOSED_LATE_MS_MAX) return
        loop.after(Math.max(0, waitMs) + random.between(0.2, 2), () => {
          let answer: () => void
          try {
            const result = apply()
            answer = () => resolve(result)
          } catch (error) {
            answer = () => reject(error as Error)
          }
          if (settled) tally.add('etcd applied after its deadline')
          if (this.trouble.cut || random.chance(this.trouble.answerLoss)) {
            tally.add('etcd committed without an answer')
            return
          }
          process.post(random.between(0.3, 2), () => settle(answer))
        })
      })
    })
  }
}

class SimWatch {
  closed = false
  #next: bigint
  #reading = false
  readonly #etcd: SimEtcd
  readonly #process: SimProcess
  readonly #trouble: EtcdTrouble
  readonly #prefix: string
  readonly #listener: WatchListener

  constructor(
    etcd: SimEtcd,
    process: SimProcess,
    trouble: EtcdTrouble,
    prefix: string,
    from: bigint,
    listener: WatchListener,
  ) {
    this.#etcd = etcd
    this.#process = process
    this.#trouble = trouble
    this.#prefix = prefix
    this.#next = from
    this.#listener = listener
  }

  wake(): void {
    if (this.#reading || this.closed || this.#trouble.cut) return
    this.#reading = true
    const { random } = this.#etcd
    this.#process.post(random.between(0.5, 2) + random.fraction() * this.#trouble.watchLagMs, () => {
      this.#reading = false
      if (this.closed || this.#trouble.cut) return
      this.#deliver()
    })
  }

  #deliver(): void {
    const { history, revision } = this.#etcd
    if (revision + 1n < this.#next) {
      this.closed = true
      this.#listener.lost(new HoldfastError('ERR_METADATA_UNAVAILABLE', 'revision is in the future'))
      return
    }
    for (
      let at = Math.max(0, history.length - Number(revision - this.#next + 1n));
      at < history.length;
      at++
    ) {
      const { number, events } = history[at]!
      if (number < this.#next) continue
      this.#next = number + 1n
      const wanted = events.filter(event => keyOf(event).startsWith(this.#prefix))
      if (wanted.length > 0 && !this.closed) this.#listener.changed(wanted, number)
    }
  }
}

function keyOf(event: WatchEvent): string {
  return event.type === 'put' ? event.entry.key : event.key
}
