import { BlockStatus } from '../../block/block-status.ts'
import type { ClientIdentity } from '../client-identity.ts'
import type { StateStorage } from '../state-storage.ts'
import type { VolumeHandle } from '../volume.ts'
import { realSanitizeClock, type SanitizeClock } from './sanitize-clock.ts'
import { SanitizeRun } from './sanitize-run.ts'
import { decodeSanitize, encodeSanitize, type SanitizeOrder, type SanitizeState } from './sanitize-state.ts'

/** Who sanitizes: the one client that a volume serves meanwhile. */
export const SANITIZER: ClientIdentity = { protocol: 'internal' }

export interface SanitizationOptions {
  readonly storage: StateStorage
  /** What an overwrite writes at most, so that other volumes go on. */
  readonly bytesPerSecond: number
  /** Between two tries of what was unavailable, or could not be stored: a second unless given. */
  readonly retryMs?: number
  /** Node's unless given. */
  readonly clock?: SanitizeClock
}

/** Of what a sanitize met that may pass: members that are away, metadata that do not answer. */
const RETRY_MS = 1_000

type Opening = (client: ClientIdentity) => VolumeHandle

/**
 * Sanitizing a volume: state that is stored before it takes effect, outlives a restart, and keeps everybody
 * out until it is over. Nothing but its own end ends it: no abort, no reset, no loss of a nexus.
 */
export class Sanitization {
  readonly #options: SanitizationOptions
  #open: Opening | null = null
  #state: SanitizeState | null = null
  #token = 0n
  #run: SanitizeRun | null = null
  #stopping = new AbortController()
  #isStarting = false
  #ended: Promise<void> = Promise.resolve()

  constructor(options: SanitizationOptions) {
    this.#options = options
  }

  /** Reads what is stored; resume() goes on with it. Rejects when the storage cannot be read. */
  async load(): Promise<void> {
    const stored = await this.#options.storage.load()
    this.#state = stored === null ? null : decodeSanitize(stored.bytes)
    this.#token = stored?.token ?? 0n
  }

  /** The volume is there: what was interrupted begins its pass again. */
  resume(open: Opening): void {
    this.#open = open
    this.#stopping = new AbortController()
    if (this.#state !== null && !this.#state.hasFailed) this.#begin()
  }

  /** Why everybody but SANITIZER is refused; ok while nothing is the matter. */
  get refusal(): BlockStatus {
    if (this.#state === null) return BlockStatus.ok
    return this.#state.hasFailed ? BlockStatus.sanitizeFailed : BlockStatus.sanitizing
  }

  /** Of all passes, 0 to 1. */
  get progress(): number {
    if (this.#state === null || this.#run === null) return 0
    const { passesDone, order } = this.#state
    return (passesDone + this.#run.progress) / order.passes
  }

  /** Resolves when it is stored and in force, false when one runs already. Rejects when it cannot be stored. */
  async start(order: SanitizeOrder): Promise<boolean> {
    if (this.#isStarting || (this.#state !== null && !this.#state.hasFailed)) return false
    this.#isStarting = true
    try {
      await this.#become({ order, passesDone: 0, hasFailed: false })
    } finally {
      this.#isStarting = false
    }
    this.#begin()
    return true
  }

  /** Resolves when none runs any more, whether it succeeded, failed or was stopped. */
  whenEnded(): Promise<void> {
    return this.#ended
  }

  /** EXIT FAILURE MODE: false where only a successful sanitize leaves it. SBC-4 §4.11.4. */
  async exitFailureMode(): Promise<boolean> {
    if (this.#state === null || !this.#state.hasFailed) return this.#state === null
    if (!this.#state.order.unrestrictedExit) return false
    await this.#become(null)
    return true
  }

  /** The volume closes: what is under way goes on when it is opened again. */
  async stop(): Promise<void> {
    this.#open = null
    this.#stopping.abort()
    this.#run?.stop()
    await this.#ended
  }

  #begin(): void {
    if (this.#open === null) return
    const handle = this.#open(SANITIZER)
    this.#ended = this.#passes(handle)
      .catch(() => {})
      .finally(() => handle.close())
  }

  async #passes(handle: VolumeHandle): Promise<void> {
    while (this.#state !== null && !this.#state.hasFailed && !this.#isStopping) {
      const { order, passesDone } = this.#state
      const { bytesPerSecond, clock } = this.#options
      this.#run = new SanitizeRun(handle, order, passesDone, bytesPerSecond, clock)
      let status = await this.#run.run()
      // Nobody else may use the volume until this has ended: it goes on by itself, from the piece that failed.
      while (mayPass(status) && !this.#isStopping) {
        await this.#pause()
        status = await this.#run.run()
      }
      if (mayPass(status)) return
      if (status !== BlockStatus.ok) await this.#becomeAtLast({ order, passesDone, hasFailed: true })
      else if (passesDone + 1 < order.passes)
        await this.#becomeAtLast({ ...this.#state, passesDone: passesDone + 1 })
      else await this.#becomeAtLast(null)
    }
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  #pause(): Promise<void> {
    const { retryMs = RETRY_MS, clock = realSanitizeClock } = this.#options
    return clock.pause(retryMs, this.#stopping.signal)
  }

  /** As #become(), however long the storage fails, until this is stopped. */
  async #becomeAtLast(state: SanitizeState | null): Promise<void> {
    while (!this.#isStopping) {
      try {
        return await this.#become(state)
      } catch {
        await this.#pause()
        await this.#learnToken(state).catch(() => {})
      }
    }
  }

  /** What seemed to fail may have been stored; what somebody else has stored stays. */
  async #learnToken(state: SanitizeState | null): Promise<void> {
    const stored = await this.#options.storage.load()
    const ours = [encodeSanitize(state), encodeSanitize(this.#state)]
    if (stored !== null && ours.some(bytes => bytes.equals(stored.bytes))) this.#token = stored.token
  }

  async #become(state: SanitizeState | null): Promise<void> {
    this.#token = await this.#options.storage.save(encodeSanitize(state), this.#token)
    this.#state = state
  }
}

function mayPass(status: BlockStatus): boolean {
  return status === BlockStatus.unavailable || status === BlockStatus.aborted
}
