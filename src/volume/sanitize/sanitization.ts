import { BlockStatus } from '../../block/block-status.ts'
import type { ClientIdentity } from '../client-identity.ts'
import type { StateStorage } from '../state-storage.ts'
import type { VolumeHandle } from '../volume.ts'
import { SanitizeRun } from './sanitize-run.ts'
import { decodeSanitize, encodeSanitize, type SanitizeOrder, type SanitizeState } from './sanitize-state.ts'

/** Who sanitizes: the one client that a volume serves meanwhile. */
export const SANITIZER: ClientIdentity = { protocol: 'internal' }

export interface SanitizationOptions {
  readonly storage: StateStorage
  /** What an overwrite writes at most, so that other volumes go on. */
  readonly bytesPerSecond: number
}

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
    this.#run?.stop()
    await this.#ended
  }

  #begin(): void {
    if (this.#open === null) return
    const handle = this.#open(SANITIZER)
    // A failure to store the outcome leaves the volume as it is: the next start sanitizes again.
    this.#ended = this.#passes(handle)
      .catch(() => {})
      .finally(() => handle.close())
  }

  async #passes(handle: VolumeHandle): Promise<void> {
    while (this.#state !== null && !this.#state.hasFailed) {
      const { order, passesDone } = this.#state
      this.#run = new SanitizeRun(handle, order, passesDone, this.#options.bytesPerSecond)
      const status = await this.#run.run()
      if (status === BlockStatus.unavailable || status === BlockStatus.aborted) return
      if (status !== BlockStatus.ok) await this.#become({ order, passesDone, hasFailed: true })
      else if (passesDone + 1 < order.passes)
        await this.#become({ ...this.#state, passesDone: passesDone + 1 })
      else await this.#become(null)
    }
  }

  async #become(state: SanitizeState | null): Promise<void> {
    this.#token = await this.#options.storage.save(encodeSanitize(state), this.#token)
    this.#state = state
  }
}
