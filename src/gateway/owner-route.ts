import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Timers } from '../replication/timers.ts'
import { inTime } from './in-time.ts'
import { type GatewayLimits, TRY_AGAIN_MS } from './limits.ts'
import type { OwnerPort, OwnerState } from './messages.ts'
import type { OwnedService } from './owned-service.ts'
import { isSameRoute, type Route } from './route.ts'

export interface OwnerRouteOptions {
  readonly timers: Timers
  readonly limits: GatewayLimits
  /** The way to the owner as it is now; null while there is none. */
  readonly route: () => Route | null
  /** The owner answers: operations may be sent. */
  readonly attached: (state: OwnerState) => void
  /** Nothing more can be sent to whoever was the owner. */
  readonly detached: () => void
}

/** The way to the owner of one volume, and whether the owner has answered on it. */
export class OwnerRoute {
  readonly #options: OwnerRouteOptions
  #route: Route | null = null
  #isAttached = false
  #isClosed = false
  #generation = 0
  #epoch = 0

  constructor(options: OwnerRouteOptions) {
    this.#options = options
  }

  /** Null while no owner answers. */
  get route(): Route | null {
    return this.#isAttached ? this.#route : null
  }

  get port(): OwnerPort | null {
    return this.route?.port ?? null
  }

  /** The owner in this process, while it is here and serves. */
  get local(): OwnedService | null {
    const { route } = this
    return route?.is === 'local' ? route.service : null
  }

  /** Rises whenever the way changes: what was asked before is out of date. */
  get generation(): number {
    return this.#generation
  }

  /** Of the owner that answered last; 0: none has. */
  get epoch(): number {
    return this.#epoch
  }

  /** Looks again at who the owner is. True when the way to it is another one than before. */
  look(): boolean {
    const route = this.#isClosed ? null : this.#options.route()
    if (isSameRoute(route, this.#route)) return false
    this.#route = route
    this.#detach()
    if (route !== null) void this.#attach(route, this.#generation)
    return true
  }

  /** The owner says that it is none: whoever is will answer a little later. */
  attachAgain(): void {
    const route = this.#route
    if (route === null || !this.#isAttached) return
    this.#detach()
    const generation = this.#generation
    void this.pause().then(() => this.#attach(route, generation))
  }

  /** The owner's port as soon as it answers. Rejects with ERR_BLOCK_UNAVAILABLE after `ownerWaitMs`. */
  async whenAttached(): Promise<OwnerPort> {
    const { timers, limits } = this.#options
    const untilMs = timers.bootMs() + limits.ownerWaitMs
    for (;;) {
      const { port } = this
      if (port !== null) return port
      if (this.#isClosed || timers.bootMs() >= untilMs) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
      await this.pause()
    }
  }

  /**
   * The answer of whoever is the owner, in the end. Rejects with what `isFinal` says no other answer will come after,
   * and with ERR_BLOCK_UNAVAILABLE after `ownerWaitMs`.
   */
  async ask<T>(
    question: (port: OwnerPort) => Promise<T>,
    isFinal: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const { timers, limits } = this.#options
    let isOver = false
    const answer = this.#askAgain(question, error => isOver || isFinal(error))
    const late = () => new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    return inTime(answer, timers, limits.ownerWaitMs, late).finally(() => {
      isOver = true
    })
  }

  pause(): Promise<void> {
    return new Promise(resolve => void this.#options.timers.after(TRY_AGAIN_MS, resolve))
  }

  close(): void {
    this.#isClosed = true
    this.#route = null
    this.#detach()
  }

  async #askAgain<T>(
    question: (port: OwnerPort) => Promise<T>,
    isOver: (error: unknown) => boolean,
  ): Promise<T> {
    for (;;) {
      const port = await this.whenAttached()
      try {
        return await question(port)
      } catch (error) {
        if (isOver(error)) throw error
        await this.pause()
      }
    }
  }

  #detach(): void {
    this.#generation++
    this.#isAttached = false
    this.#options.detached()
  }

  async #attach(route: Route, generation: number): Promise<void> {
    while (generation === this.#generation) {
      try {
        const state = await route.port.attach()
        if (generation !== this.#generation) return
        this.#isAttached = true
        this.#epoch = state.epoch
        this.#options.attached(state)
        return
      } catch {
        await this.pause()
      }
    }
  }
}
