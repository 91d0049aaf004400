import type { Timer, Timers } from '../../../src/replication/timers.ts'
import type { EventLoop } from './event-loop.ts'
import type { Random } from './random.ts'

/** PROTOCOL rule 4: clock rates stay within this. */
export const CLOCK_RATE_ERROR_MAX = 0.01

/** A timer fires this much late at most while its process runs. */
const TIMER_LATE_MS_MAX = 1.5

/** A machine: a clock that runs at its own rate, and a boot id. It outlives its processes. */
export class Machine {
  readonly name: string
  bootId: string
  isUp = true
  readonly #loop: EventLoop
  readonly #random: Random
  #rate = 1
  #bootedAtMs = 0

  constructor(name: string, loop: EventLoop, random: Random) {
    this.name = name
    this.#loop = loop
    this.#random = random
    this.bootId = ''
    this.boot()
  }

  /** What it had in memory is gone; the clock starts anew and drifts otherwise. */
  boot(): void {
    this.isUp = true
    this.bootId = this.#random.uuid()
    this.#rate = 1 + this.#random.between(-CLOCK_RATE_ERROR_MAX, CLOCK_RATE_ERROR_MAX)
    this.#bootedAtMs = this.#loop.nowMs - this.#random.between(1000, 50_000)
  }

  get rate(): number {
    return this.#rate
  }

  bootMs(): number {
    return (this.#loop.nowMs - this.#bootedAtMs) * this.#rate
  }
}

/** One run of a daemon, or a thread of it. What is due while it is paused happens when it goes on; nothing after its end. */
export class SimProcess implements Timers {
  readonly name: string
  readonly machine: Machine
  readonly random: Random
  alive = true
  #paused = false
  #held: (() => void)[] = []
  readonly #loop: EventLoop
  readonly #threads: SimProcess[] = []

  constructor(name: string, machine: Machine, loop: EventLoop, random: Random) {
    this.name = name
    this.machine = machine
    this.#loop = loop
    this.random = random
  }

  /** A thread beside this one, which is paused and ends with it. */
  thread(name: string, random: Random): SimProcess {
    const thread = new SimProcess(`${this.name} ${name}`, this.machine, this.#loop, random)
    this.#threads.push(thread)
    return thread
  }

  get paused(): boolean {
    return this.#paused
  }

  get nowMs(): number {
    return this.#loop.nowMs
  }

  bootMs(): number {
    return this.machine.bootMs()
  }

  after(ms: number, fn: () => void): Timer {
    const real = Math.max(0, ms) / this.machine.rate + this.random.fraction() * TIMER_LATE_MS_MAX
    let cancelled = false
    const event = this.#loop.after(real, () =>
      this.run(() => {
        if (!cancelled) fn()
      }),
    )
    return {
      cancel: () => {
        cancelled = true
        event.cancelled = true
      },
    }
  }

  /** Something from outside reaches the process `delayMs` from now. */
  post(delayMs: number, fn: () => void): void {
    this.#loop.after(delayMs, () => this.run(fn))
  }

  run(fn: () => void): void {
    if (!this.alive) return
    if (this.#paused) this.#held.push(fn)
    else fn()
  }

  /** SIGSTOP. */
  pause(): void {
    this.#paused = true
    for (const thread of this.#threads) thread.pause()
  }

  /** Something keeps this thread busy, and none of the others. */
  stall(): void {
    this.#paused = true
  }

  /** What piled up is handled first, in the order of its arrival, or mixed up: timers against sockets. */
  resume(): void {
    for (const thread of this.#threads) thread.resume()
    if (!this.#paused) return
    this.#paused = false
    const held = this.#held
    this.#held = []
    held.forEach((fn, index) => {
      this.post(index * 0.01, fn)
    })
  }

  end(): void {
    for (const thread of this.#threads) thread.end()
    this.alive = false
    this.#held = []
  }
}
