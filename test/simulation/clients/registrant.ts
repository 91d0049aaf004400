import { BlockStatus } from '../../../src/block/block-status.ts'
import { ReservationType } from '../../../src/volume/reservations/reservation-state.ts'
import type { ReservationAction } from '../../../src/volume/reservations/step-reservations.ts'
import type { ReservationAttempt, ReservationJudge } from '../checker/reservation-judge.ts'
import type { World } from '../cluster/world.ts'
import type { Random } from '../world/random.ts'
import type { SimClient } from './sim-client.ts'

const TYPE = ReservationType.writeExclusiveRegistrantsOnly
const ACTS_EVERY_MS = [150, 2_500] as const
/** A host that finds itself fenced comes back after so long. */
const FENCED_MS = [50, 1_500] as const
const DRAIN_POLL_MS = 7
const ACTIONS: readonly ['reserve' | 'preemptAndAbort' | 'release' | 'clear', number][] = [
  ['reserve', 45],
  ['preemptAndAbort', 45],
  ['release', 6],
  ['clear', 4],
]

/**
 * Cluster software on a host: registers its key by each connection, reserves the volume for registrants, fences the
 * others by PREEMPT AND ABORT, and when it was fenced itself begins anew with nothing in flight. SPC-5 §5.14.
 */
export class Registrant {
  readonly #world: World
  readonly #client: SimClient
  readonly #random: Random
  readonly #judge: ReservationJudge
  /** Of its volume, with the own. */
  readonly #keys: readonly bigint[]
  readonly #key: bigint
  #nexus = ''
  /** Rises with each connection. */
  #session = 0
  #isRegistered = false
  #pending: ReservationAttempt | null = null

  constructor(
    world: World,
    client: SimClient,
    random: Random,
    judge: ReservationJudge,
    key: bigint,
    keys: readonly bigint[],
  ) {
    this.#world = world
    this.#client = client
    this.#random = random
    this.#judge = judge
    this.#key = key
    this.#keys = keys
    this.#actLater()
  }

  loggedIn(nexus: string): void {
    this.#nexus = nexus
    this.#session++
    this.#fenced()
    this.#register(this.#session)
  }

  loggedOut(): void {
    this.#session++
    this.#fenced()
    if (this.#pending !== null) this.#judge.ended(this.#pending, 'unknown')
    this.#pending = null
  }

  answered(status: BlockStatus): void {
    if (status !== BlockStatus.reservationConflict || !this.#isRegistered) return
    this.#fenced()
    this.#later(FENCED_MS, session => this.#register(session))
  }

  #fenced(): void {
    this.#isRegistered = false
    this.#client.fence(true)
  }

  #register(session: number): void {
    if (session !== this.#session) return
    if (this.#client.changesInFlight > 0 || this.#pending !== null) {
      this.#world.loop.after(DRAIN_POLL_MS, () => this.#register(session))
      return
    }
    const action = { do: 'registerAndIgnoreExistingKey', newKey: this.#key, persist: true } as const
    this.#send(action, outcome => {
      if (outcome !== 'done') return this.#later(FENCED_MS, again => this.#register(again))
      this.#isRegistered = true
      this.#client.fence(false)
    })
  }

  #actLater(): void {
    this.#world.loop.after(this.#random.between(...ACTS_EVERY_MS), () => {
      if (this.#isRegistered && this.#pending === null) this.#act()
      this.#actLater()
    })
  }

  #act(): void {
    const random = this.#random
    const kind = ACTIONS[random.weighted(ACTIONS.map(([, weight]) => weight))]![0]
    const key = this.#key
    if (kind === 'clear') return this.#send({ do: kind, key })
    if (kind !== 'preemptAndAbort') return this.#send({ do: kind, key, type: TYPE })
    const others = this.#keys.filter(other => other !== key)
    if (others.length > 0) this.#send({ do: kind, key, victimKey: random.pick(others), type: TYPE })
  }

  #send(action: ReservationAction, then: (outcome: ReservationAttempt['outcome']) => void = () => {}): void {
    const attempt = this.#judge.began(this.#client.volume.index, this.#nexus, this.#key, action)
    this.#pending = attempt
    this.#client.reserve(action, outcome => {
      if (this.#pending !== attempt) return
      this.#pending = null
      this.#judge.ended(attempt, outcome)
      this.#world.tally.add(`reservation ${action.do} ${outcome}`)
      this.#world.trace.say(this.#client.name, `${action.do}: ${outcome}`)
      then(outcome)
    })
  }

  #later(range: readonly [number, number], fn: (session: number) => void): void {
    const session = this.#session
    this.#world.loop.after(this.#random.between(...range), () => fn(session))
  }
}
