import type { Worker } from 'node:worker_threads'
import { startWorker } from '../lib/start-worker.ts'
import type { EtcdStoreOptions } from '../metadata/etcd/etcd-store.ts'
import type { Heartbeat, HeartbeatLog } from './heartbeat.ts'
import { type ProgressMark, ProgressWatch } from './progress.ts'

export interface HeartbeatWork {
  readonly etcd: EtcdStoreOptions
  readonly progress: SharedArrayBuffer
}

export type HeartbeatMessage = { readonly lease: bigint | null } | { readonly failed: string }

/** A thread that died is started again after this. */
const RESTART_MS = 1000

/**
 * Heartbeats from a thread of their own, with a connection to etcd of its own. It sends none while the main loop,
 * or the brick's oldest operation, has made no progress for a second.
 */
export class HeartbeatThread implements Heartbeat {
  lease: bigint | null = null
  readonly #work: HeartbeatWork
  readonly #log: HeartbeatLog
  readonly #watch: ProgressWatch
  readonly #listeners: ((lease: bigint | null) => void)[] = []
  #worker: Worker
  #restart: NodeJS.Timeout | null = null
  #stopping = false

  constructor(etcd: EtcdStoreOptions, mark: ProgressMark, oldestIoMs: () => number, log: HeartbeatLog) {
    this.#log = log
    this.#watch = new ProgressWatch(mark, oldestIoMs)
    this.#work = { etcd, progress: mark.buffer }
    this.#worker = this.#start()
  }

  onChange(listener: (lease: bigint | null) => void): void {
    this.#listeners.push(listener)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    this.#watch[Symbol.dispose]()
    if (this.#restart !== null) clearTimeout(this.#restart)
    const ended = new Promise(resolve => this.#worker.once('exit', resolve))
    this.#worker.postMessage('stop')
    await ended
  }

  #start(): Worker {
    const worker = startWorker('heartbeat-worker', import.meta.url, { workerData: this.#work })
    worker.unref()
    worker.on('message', (message: HeartbeatMessage) => {
      if ('lease' in message) this.#set(message.lease)
      else this.#log.warn({ reason: message.failed }, 'a heartbeat failed')
    })
    worker.on('error', err => this.#log.warn({ err }, 'the heartbeat thread died'))
    worker.on('exit', () => {
      if (this.#stopping) return
      this.#set(null)
      this.#restart = setTimeout(() => {
        this.#worker = this.#start()
      }, RESTART_MS)
    })
    return worker
  }

  #set(lease: bigint | null): void {
    this.lease = lease
    for (const listener of this.#listeners) listener(lease)
  }
}
