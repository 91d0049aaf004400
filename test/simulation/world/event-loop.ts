/** Something that happens at a virtual time. */
export interface SimEvent {
  readonly atMs: number
  readonly sequence: number
  readonly run: () => void
  cancelled: boolean
}

/** Rounds of microtasks and immediates after one event: more is a loop that virtual time never leaves. */
const DRAIN_ROUNDS_MAX = 10_000

/** Runs what is left of ticks and microtasks, from a macrotask and synchronously. Node's own, undocumented. */
const runMicrotasks = (process as unknown as { _tickCallback?: () => void })._tickCallback

export class SimulationError extends Error {
  override readonly name = 'SimulationError'
}

/** Virtual time: events in the order of their time, then of their making; between two the microtasks run dry. */
export class EventLoop {
  nowMs = 0
  events = 0
  readonly #heap: SimEvent[] = []
  #immediates: (() => void)[] = []
  #sequence = 0
  #stopped = false

  at(atMs: number, run: () => void): SimEvent {
    const event = { atMs: Math.max(atMs, this.nowMs), sequence: this.#sequence++, run, cancelled: false }
    this.#push(event)
    return event
  }

  after(delayMs: number, run: () => void): SimEvent {
    return this.at(this.nowMs + delayMs, run)
  }

  stop(): void {
    this.#stopped = true
  }

  /**
   * Runs events until `stop()`, the time or the number of events is reached, or none is left. Must be called from
   * a macrotask. What the code under test must not use is taken away from it meanwhile.
   */
  run(limits: { untilMs: number; events: number }): 'stopped' | 'time' | 'events' | 'idle' {
    if (runMicrotasks === undefined) throw new SimulationError('this Node has no process._tickCallback')
    const restore = this.#replaceGlobals()
    try {
      this.#drain()
      for (;;) {
        if (this.#stopped) return 'stopped'
        const event = this.#pop()
        if (event === undefined) return 'idle'
        if (event.cancelled) continue
        if (event.atMs > limits.untilMs) return 'time'
        if (++this.events > limits.events) return 'events'
        this.nowMs = event.atMs
        event.run()
        this.#drain()
      }
    } finally {
      restore()
    }
  }

  #drain(): void {
    for (let round = 0; round < DRAIN_ROUNDS_MAX; round++) {
      runMicrotasks!()
      if (this.#immediates.length === 0) return
      const batch = this.#immediates
      this.#immediates = []
      for (const immediate of batch) {
        immediate()
        runMicrotasks!()
      }
    }
    throw new SimulationError('a loop of promises or immediates never comes to rest')
  }

  #replaceGlobals(): () => void {
    const saved = {
      setImmediate: globalThis.setImmediate,
      setTimeout: globalThis.setTimeout,
      setInterval: globalThis.setInterval,
      random: Math.random,
      now: Date.now,
    }
    const forbidden = (what: string) => () => {
      throw new SimulationError(`${what} is not of this world: use what is injected`)
    }
    const immediate = (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      this.#immediates.push(args.length === 0 ? run : () => run(...args))
      return {}
    }
    globalThis.setImmediate = immediate as unknown as typeof setImmediate
    globalThis.setTimeout = forbidden('setTimeout') as unknown as typeof setTimeout
    globalThis.setInterval = forbidden('setInterval') as unknown as typeof setInterval
    Math.random = forbidden('Math.random')
    Date.now = () => Math.floor(this.nowMs)
    return () => {
      globalThis.setImmediate = saved.setImmediate
      globalThis.setTimeout = saved.setTimeout
      globalThis.setInterval = saved.setInterval
      Math.random = saved.random
      Date.now = saved.now
    }
  }

  #push(event: SimEvent): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  #pop(): SimEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || first === last) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last!
    return first
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence)
}
