import { HoldfastError } from '../errors/holdfast-error.ts'
import type { LoggedOperation, OperationFate } from '../replication/operation-log.ts'
import type { Timers } from '../replication/timers.ts'
import { isStreamOf, type StreamKey } from './client-key.ts'
import { type GatewayLimits, STREAMS_PER_VOLUME_MAX } from './limits.ts'
import type { DoubtfulOperation, ResumeAnswer, ResumedStream } from './messages.ts'
import { OwnerStream } from './owner-stream.ts'

/** Stream numbers of one epoch. An epoch later they are higher: the newest of two is the one to believe. */
const NUMBERS_PER_EPOCH = 2 ** 24

const DEAD: ResumeAnswer = { number: null, fates: [] }

interface Resuming {
  readonly gateway: number
  readonly stream: ResumedStream
  readonly answer: (answer: ResumeAnswer) => void
}

export interface OwnerStreamsOptions {
  readonly epoch: number
  readonly timers: Timers
  readonly limits: GatewayLimits
  /** What became of an operation, as the members of the volume remember it. */
  readonly fate: (operation: LoggedOperation) => OperationFate
  /** Nobody can have a stream from before: there is no window. */
  readonly isFirst: boolean
  /** Gateways that have heard less of lost rights name no streams. */
  readonly rightsVersion: number
  /** Its gateway should hear of it. */
  readonly killed: (stream: OwnerStream) => void
}

/**
 * The client streams of a volume, as its owner numbers them. PROTOCOL rules 17 and 18: one live stream per key;
 * after a takeover first a window in which gateways name the streams that they still have, then time to repeat
 * what is in doubt, and only then anything new.
 */
export class OwnerStreams {
  readonly #options: OwnerStreamsOptions
  readonly #live = new Map<number, OwnerStream>()
  readonly #byKey = new Map<StreamKey, OwnerStream>()
  /** By the number that the former owner had given. */
  readonly #resumed = new Map<number, OwnerStream>()
  readonly #dying: OwnerStream[] = []
  /** Dead, but not drained yet. */
  readonly #ending = new Set<OwnerStream>()
  #rightsVersion: number
  /** Registrations of one key, one after the other. */
  readonly #registering = new Map<StreamKey, Promise<unknown>>()
  #resuming: Resuming[] | null = []
  #count = 0
  #isClosed = false
  readonly #opened: Promise<void>
  #open!: () => void
  #isOpen = false
  #isOpening = false

  constructor(options: OwnerStreamsOptions) {
    this.#options = options
    this.#rightsVersion = options.rightsVersion
    this.#opened = new Promise(resolve => {
      this.#open = resolve
    })
    if (options.isFirst) this.#windowEnded()
    else options.timers.after(options.limits.resumeWindowMs, () => this.#windowEnded())
  }

  /** A live stream by its number, or null. */
  find(number: number): OwnerStream | null {
    return this.#live.get(number) ?? null
  }

  /** New operations are let through: the time after a takeover is over. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** `gateway` still has this stream, which a former owner numbered. Latecomers find it dead. */
  async resume(gateway: number, stream: ResumedStream): Promise<ResumeAnswer> {
    this.#requireOpenEpoch()
    this.#requireRights(stream.rightsVersion)
    if (this.#resuming === null) return this.#resumedBefore(gateway, stream)
    // The owner in between may have given the client to another gateway, and let others overwrite what is in doubt.
    if (Math.floor(stream.number / NUMBERS_PER_EPOCH) !== this.#options.epoch - 1) return DEAD
    const answer = await new Promise<ResumeAnswer>(resolve => {
      this.#resuming?.push({ gateway, stream, answer: resolve })
    })
    if (answer.number !== null && stream.inDoubt === 0) await this.#opened
    this.#requireOpenEpoch()
    return answer
  }

  /** The answer to the same question may have been lost with a connection. */
  #resumedBefore(gateway: number, { number, asks }: ResumedStream): ResumeAnswer {
    const resumed = this.#resumed.get(number)
    if (resumed === undefined || resumed.isDead || resumed.gateway !== gateway) return DEAD
    return { number: resumed.number, fates: this.#fatesOf(number, asks) }
  }

  #fatesOf(stream: number, asks: readonly DoubtfulOperation[]): OperationFate[] {
    return asks.map(operation => this.#options.fate({ ...operation, stream }))
  }

  /** Resolves when new operations of the stream may begin; false when it is dead. */
  async settled(gateway: number, number: number): Promise<boolean> {
    this.#requireOpenEpoch()
    const stream = this.#live.get(number)
    if (stream === undefined || stream.gateway !== gateway) return false
    stream.isSettled = true
    void this.#openWhenSettled()
    await this.#opened
    this.#requireOpenEpoch()
    return !stream.isDead
  }

  /** Somebody has lost its right to the volume. What is alive stays alive: see end(). */
  raiseRightsVersion(version: number): void {
    this.#rightsVersion = Math.max(this.#rightsVersion, version)
  }

  /** Kills the streams of this initiator, however its name is written. Resolves when they are drained. */
  async end(initiator: string): Promise<void> {
    const isTheirs = ({ key }: OwnerStream) => isStreamOf(key, initiator)
    for (const stream of [...this.#live.values()].filter(isTheirs)) this.#kill(stream)
    await Promise.all([...this.#ending].filter(isTheirs).map(stream => stream.drained()))
  }

  /**
   * Rejects with ERR_BLOCK_UNAVAILABLE when the epoch ends first, too many streams are alive, or the gateway has not
   * heard yet who has lost its right: it comes again when it has, if the client is still there.
   */
  register(gateway: number, key: StreamKey, rightsVersion: number): Promise<number> {
    const before = this.#registering.get(key) ?? Promise.resolve()
    const registered = before.then(() => this.#register(gateway, key, rightsVersion))
    const settled = registered.catch(() => {})
    this.#registering.set(key, settled)
    void settled.then(() => {
      if (this.#registering.get(key) === settled) this.#registering.delete(key)
    })
    return registered
  }

  /** The epoch is over. */
  close(): void {
    this.#isClosed = true
    for (const { answer } of this.#resuming ?? []) answer(DEAD)
    this.#resuming = null
    this.#open()
  }

  /** Throws ERR_BLOCK_UNAVAILABLE when the epoch is over: that says nothing of anybody's stream. */
  #requireOpenEpoch(): void {
    if (this.#isClosed) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the volume has another owner')
  }

  /** Throws ERR_BLOCK_UNAVAILABLE: a client may be among those that have lost their right. */
  #requireRights(version: number): void {
    if (version >= this.#rightsVersion) return
    throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'the gateway has not heard of lost rights')
  }

  async #register(gateway: number, key: StreamKey, rightsVersion: number): Promise<number> {
    await this.#opened
    const older = this.#byKey.get(key)
    if (older !== undefined) {
      this.#kill(older)
      await older.drained()
    }
    this.#requireOpenEpoch()
    this.#requireRights(rightsVersion)
    if (this.#live.size >= STREAMS_PER_VOLUME_MAX) {
      throw new HoldfastError(
        'ERR_BLOCK_UNAVAILABLE',
        `${STREAMS_PER_VOLUME_MAX} clients write this volume already`,
      )
    }
    return this.#add(gateway, key, true).number
  }

  #add(gateway: number, key: StreamKey, isSettled: boolean): OwnerStream {
    const number = this.#options.epoch * NUMBERS_PER_EPOCH + ++this.#count
    const stream = new OwnerStream(key, number, gateway, isSettled)
    this.#live.set(number, stream)
    this.#byKey.set(key, stream)
    return stream
  }

  #kill(stream: OwnerStream): void {
    stream.isDead = true
    this.#ending.add(stream)
    void stream.drained().then(() => this.#ending.delete(stream))
    this.#live.delete(stream.number)
    if (this.#byKey.get(stream.key) === stream) this.#byKey.delete(stream.key)
    this.#options.killed(stream)
  }

  #windowEnded(): void {
    const resuming = this.#resuming
    if (resuming === null) return
    this.#resuming = null
    const entitled = resuming.filter(({ stream }) => stream.rightsVersion >= this.#rightsVersion)
    for (const winner of newestOfEachKey(entitled)) {
      const { gateway, stream } = winner
      const resumed = this.#add(gateway, stream.key, stream.inDoubt === 0)
      this.#resumed.set(stream.number, resumed)
      winner.answer({ number: resumed.number, fates: this.#fatesOf(stream.number, stream.asks) })
    }
    // Whoever was answered already hears nothing of this.
    for (const { answer } of resuming) answer(DEAD)
    const { timers, limits } = this.#options
    if (this.#unsettled.length > 0) timers.after(limits.settleMs, () => this.#killUnsettled())
    void this.#openWhenSettled()
  }

  get #unsettled(): OwnerStream[] {
    return [...this.#live.values()].filter(({ isSettled }) => !isSettled)
  }

  #killUnsettled(): void {
    for (const stream of this.#unsettled) {
      this.#kill(stream)
      this.#dying.push(stream)
    }
    void this.#openWhenSettled()
  }

  async #openWhenSettled(): Promise<void> {
    if (this.#isOpening || this.#resuming !== null || this.#unsettled.length > 0) return
    this.#isOpening = true
    await Promise.all(this.#dying.map(stream => stream.drained()))
    this.#isOpen = true
    this.#open()
  }
}

function newestOfEachKey(resuming: readonly Resuming[]): Resuming[] {
  const newest = new Map<StreamKey, Resuming>()
  for (const one of resuming) {
    const other = newest.get(one.stream.key)
    if (other === undefined || one.stream.number > other.stream.number) newest.set(one.stream.key, one)
  }
  return [...newest.values()]
}
