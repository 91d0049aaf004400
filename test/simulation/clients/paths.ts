import type { SimPeer } from '../cluster/sim-peer.ts'
import type { World } from '../cluster/world.ts'
import { Random } from '../world/random.ts'
import type { SimClient } from './sim-client.ts'

const SWITCHED_EVERY_MS = [100, 3_000] as const
const AWAY_MS = [100, 5_000] as const

type PathKind = 'pathSwitched' | 'pathFailed' | 'pathPaused'

export const PATH_KINDS: readonly PathKind[] = ['pathSwitched', 'pathFailed', 'pathPaused']

/**
 * Multipath software on a host with several sessions, by different gateways where it finds them: changes go by one of them,
 * reads and flushes by all, until it changes its mind, or gives a path up with changes inside. PROTOCOL rules 17 and 18.
 */
export class Paths {
  readonly #world: World
  readonly #random: Random
  readonly #sessions: readonly SimClient[]
  #active: SimClient
  #isOver = false
  #restsUntilMs = 0

  constructor(world: World, sessions: readonly SimClient[]) {
    this.#world = world
    this.#random = new Random(world.seed, 'paths')
    this.#sessions = sessions
    this.#active = sessions[0]!
    this.#use(this.#active)
    this.#switchLater()
  }

  /** For so long its sessions stay where they are, one by each of these daemons. */
  rest(ms: number, at: readonly SimPeer[]): void {
    this.#restsUntilMs = this.#world.loop.nowMs + ms
    for (const [i, session] of this.#sessions.entries()) session.goTo(at[i % at.length]!)
  }

  /** Everything is mended: the path that is used stays. */
  end(): void {
    this.#isOver = true
  }

  #use(active: SimClient): void {
    this.#active = active
    for (const session of this.#sessions) session.standsBy(session !== active)
  }

  #switchLater(): void {
    this.#world.loop.after(this.#random.between(...SWITCHED_EVERY_MS), () => {
      if (this.#isOver) return
      if (this.#world.loop.nowMs >= this.#restsUntilMs) this.#switch()
      this.#switchLater()
    })
  }

  #switch(): void {
    const { tally, trace } = this.#world
    const former = this.#active
    const next = this.#random.pick(this.#sessions.filter(session => session !== former))
    const kind = this.#random.pick(PATH_KINDS)
    const { gateway } = former
    if (gateway === null || !gateway.isRunning || next.gateway === null) return
    // A path is of use where it is another gateway's.
    if (next.gateway === gateway) return next.move(gateway)
    tally.add(`fault ${kind}`)
    tally.add('faults')
    trace.say('paths', `${kind}: from ${former.name} at ${gateway.process!.name} to ${next.name}`)
    if (kind === 'pathPaused') this.#pause(gateway)
    if (kind !== 'pathSwitched') former.move(gateway)
    this.#use(next)
  }

  #pause({ process }: SimPeer): void {
    process!.pause()
    this.#world.loop.after(this.#random.between(...AWAY_MS), () => process!.resume())
  }
}
