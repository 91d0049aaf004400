const RETRY_AFTER_MS = { first: 1000, most: 30_000 } as const

interface Key {
  running: Promise<void>
  /** A pass that has not begun: whoever pokes now is served by it. */
  queued: Promise<void> | null
  failures: number
  timer: NodeJS.Timeout | null
}

/** Runs `work` per key, never twice at once for one key, and again after a failure with growing pauses. */
export class Reconciler {
  readonly #work: (key: string) => Promise<void>
  readonly #failed: (key: string, error: Error) => void
  readonly #keys = new Map<string, Key>()
  #stopped = false

  constructor(work: (key: string) => Promise<void>, failed: (key: string, error: Error) => void) {
    this.#work = work
    this.#failed = failed
  }

  /** Resolves after a whole pass that began after this call, whether it failed or not. */
  poke(key: string): Promise<void> {
    let state = this.#keys.get(key)
    if (state === undefined) {
      state = { running: Promise.resolve(), queued: null, failures: 0, timer: null }
      this.#keys.set(key, state)
    }
    const known = state
    known.queued ??= known.running.then(() => {
      known.queued = null
      known.running = this.#pass(key, known)
      return known.running
    })
    return known.queued
  }

  /** Resolves when no pass runs or waits; a retry after a failure is not waited for. */
  async idle(): Promise<void> {
    for (;;) {
      const before = [...this.#keys.values()].map(state => state.queued ?? state.running)
      await Promise.all(before)
      if ([...this.#keys.values()].every(state => state.queued === null && before.includes(state.running)))
        return
    }
  }

  /** No pass begins from now on; waits for those that run. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const state of this.#keys.values()) if (state.timer !== null) clearTimeout(state.timer)
    await this.idle()
  }

  async #pass(key: string, state: Key): Promise<void> {
    if (this.#stopped) return
    if (state.timer !== null) clearTimeout(state.timer)
    state.timer = null
    try {
      await this.#work(key)
      state.failures = 0
    } catch (error) {
      this.#failed(key, error as Error)
      const afterMs = Math.min(RETRY_AFTER_MS.first * 2 ** state.failures++, RETRY_AFTER_MS.most)
      if (this.#stopped) return
      state.timer = setTimeout(() => this.poke(key), afterMs)
      state.timer.unref()
    }
  }
}
