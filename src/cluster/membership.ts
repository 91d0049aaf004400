import { decodeValue, encodeValue, keys, type RegistrationValue } from '../control/layout.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { MetadataStore } from '../metadata/metadata-store.ts'
import type { Heartbeat, HeartbeatLog } from './heartbeat.ts'

export interface MembershipOptions {
  readonly metadata: MetadataStore
  readonly heartbeat: Heartbeat
  readonly peerId: string
  /** As it is now; asked whenever it is written. */
  readonly registration: () => RegistrationValue
  readonly log: HeartbeatLog
}

const RETRY_MS = 500
/** How often what changes slowly (the space in use) is written again, and how often while copies make progress. */
const REFRESH_MS = 10_000
const REFRESH_COPYING_MS = 2_000
/** A start waits so long for its lease. */
const START_MS_MAX = 15_000

/** This peer's registration under its lease: there while the process is alive, written again with each new lease. */
export class Membership implements AsyncDisposable {
  readonly #options: MembershipOptions
  readonly #refresh: NodeJS.Timeout
  #written = ''
  #retry: NodeJS.Timeout | null = null
  #closed = false
  #ticks = 0
  #wasCopying = false
  #registered: (() => void) | null = null
  #refused: ((error: Error) => void) | null = null

  constructor(options: MembershipOptions) {
    this.#options = options
    options.heartbeat.onChange(lease => {
      this.#written = ''
      if (lease !== null) this.update()
    })
    this.#refresh = setInterval(() => this.#refreshIfDue(), REFRESH_COPYING_MS)
    this.#refresh.unref()
  }

  /** The lease that the keys of this process hang on. */
  current(): bigint | null {
    return this.#options.heartbeat.lease
  }

  /**
   * Resolves when the others see this peer. Rejects with ERR_PEER_EXISTS when another daemon runs under its name,
   * ERR_METADATA_UNAVAILABLE after 15 s without a lease.
   */
  async start(): Promise<void> {
    const registered = new Promise<void>((resolve, reject) => {
      this.#registered = resolve
      this.#refused = reject
    })
    const timer = setTimeout(
      () => this.#refused?.(new HoldfastError('ERR_METADATA_UNAVAILABLE', 'etcd gives this peer no lease')),
      START_MS_MAX,
    )
    if (this.#written !== '') this.#registered?.()
    else this.update()
    try {
      await registered
    } finally {
      clearTimeout(timer)
      this.#registered = this.#refused = null
    }
  }

  /** Writes the registration if it has changed. Failures are logged and tried again. */
  update(): void {
    if (this.#retry !== null) clearTimeout(this.#retry)
    this.#retry = null
    const lease = this.current()
    if (lease === null || this.#closed) return
    this.#write(lease).then(
      () => this.#registered?.(),
      (error: Error) => this.#failed(error),
    )
  }

  #refreshIfDue(): void {
    this.#ticks++
    const isCopying = this.#options.registration().copies !== undefined
    if (isCopying || this.#wasCopying || this.#ticks % (REFRESH_MS / REFRESH_COPYING_MS) === 0) this.update()
    this.#wasCopying = isCopying
  }

  /** The others see at once that this peer is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#refresh)
    if (this.#retry !== null) clearTimeout(this.#retry)
    const lease = this.current()
    const { heartbeat, metadata } = this.#options
    await heartbeat[Symbol.asyncDispose]()
    // Without etcd the lease ends by itself.
    if (lease !== null) await metadata.revokeLease(lease).catch(() => {})
  }

  async #write(lease: bigint): Promise<void> {
    const { metadata, peerId, registration } = this.#options
    const key = keys.registration(peerId)
    const mine = registration()
    const value = encodeValue('registration', mine)
    if (this.#written === value.toString()) return
    const found = await metadata.get(key)
    const other = found === null ? null : decodeValue('registration', key, found.value)
    // Whoever has this brick open holds its lock, so a registration of the same brick is of a dead process.
    if (other !== null && other.incarnation !== mine.incarnation && other.brick !== mine.brick) {
      const message = `another daemon runs as peer '${peerId}', at ${other.peerAddress}`
      throw new HoldfastError('ERR_PEER_EXISTS', message)
    }
    const { succeeded } = await metadata.transact({
      compare: [{ key, target: 'modRevision', is: '=', value: found?.modRevision ?? 0n }],
      success: [{ do: 'put', key, value, lease }],
    })
    if (!succeeded) throw new HoldfastError('ERR_METADATA_CONFLICT')
    this.#written = value.toString()
  }

  #failed(error: Error): void {
    const { log } = this.#options
    if (error instanceof HoldfastError && error.code === 'ERR_PEER_EXISTS') this.#refused?.(error)
    log.warn({ err: error }, 'this peer could not be registered; trying again')
    if (this.#closed) return
    this.#retry = setTimeout(() => this.update(), RETRY_MS)
    this.#retry.unref()
  }
}
