import { BlockStatus } from '../../../src/block/block-status.ts'
import type {
  ReservationAction,
  ReservationRefusal,
} from '../../../src/volume/reservations/step-reservations.ts'
import type { EventLoop } from '../world/event-loop.ts'
import { Violation } from '../world/violation.ts'
import { type ClientOperation, type History, isChange } from './history.ts'

const NEVER = Number.POSITIVE_INFINITY
const RULE = 'rule 19'

/** One PERSISTENT RESERVE OUT, and what its host was told. */
export interface ReservationAttempt {
  readonly volume: number
  readonly nexus: string
  readonly key: bigint
  readonly action: ReservationAction
  readonly invokedMs: number
  respondedMs: number
  outcome: 'pending' | 'done' | ReservationRefusal | 'unknown'
}

/**
 * Holds rule 19 against what hosts were told: who is certainly fenced changes nothing any more, and who is certainly
 * registered is not refused. What overlaps, or was never answered, counts for neither.
 */
export class ReservationJudge {
  readonly #loop: EventLoop
  readonly #history: History
  readonly #attempts: ReservationAttempt[] = []

  constructor(loop: EventLoop, history: History) {
    this.#loop = loop
    this.#history = history
  }

  began(volume: number, nexus: string, key: bigint, action: ReservationAction): ReservationAttempt {
    const attempt: ReservationAttempt = {
      ...{ volume, nexus, key, action },
      invokedMs: this.#loop.nowMs,
      respondedMs: NEVER,
      outcome: 'pending',
    }
    this.#attempts.push(attempt)
    return attempt
  }

  ended(attempt: ReservationAttempt, outcome: ReservationAttempt['outcome']): void {
    attempt.outcome = outcome
    if (outcome !== 'unknown') attempt.respondedMs = this.#loop.nowMs
  }

  /**
   * Nothing that the victims had sent takes effect after PREEMPT AND ABORT was answered: what arrives later is refused
   * while the volume is reserved, and a host registers anew only when nothing of it is in flight. What it sends then may
   * still be on its way when the answer comes.
   */
  closeWhatWasFenced(): void {
    for (const fencing of this.#attempts) {
      const { action, volume, invokedMs, respondedMs } = fencing
      if (fencing.outcome !== 'done' || action.do !== 'preemptAndAbort') continue
      const ofVictim = this.#of(volume).filter(one => one.key === action.victimKey)
      for (const nexus of new Set(ofVictim.map(one => one.nexus))) {
        if (!this.#wasRegistered(volume, nexus, invokedMs, respondedMs, fencing)) continue
        const isBackMs = this.#registersAnewMs(volume, nexus, invokedMs)
        this.#history.closeChanges(volume, nexus, respondedMs, operation => {
          const endMs = operation.outcome === 'ok' ? operation.respondedMs : operation.closedMs
          return operation.invokedMs < isBackMs && this.#wasReserved(volume, invokedMs, endMs)
        })
      }
    }
  }

  answered(operation: ClientOperation, status: BlockStatus): void {
    const { volume, nexus, kind, invokedMs, respondedMs, client, id } = operation
    if (status === BlockStatus.reservationConflict) {
      if (isChange(kind) && !this.#wasRegistered(volume, nexus, invokedMs, respondedMs, null)) return
      throw new Violation(RULE, `${client} #${id} ${kind} was refused, and ${nexus} is registered`)
    }
    if (status !== BlockStatus.ok || !isChange(kind)) return
    if (!this.#wasReserved(volume, invokedMs, respondedMs)) return
    if (this.#mayBeRegistered(volume, nexus, invokedMs, respondedMs)) return
    throw new Violation(
      RULE,
      `${client} #${id} ${kind} was carried out, and ${nexus || 'it'} is not registered`,
    )
  }

  /** All the time from before `fromMs` until after `toMs`, whatever the order of what overlaps; but for `except`. */
  #wasRegistered(
    volume: number,
    nexus: string,
    fromMs: number,
    toMs: number,
    except: ReservationAttempt | null,
  ): boolean {
    const [last] = this.#of(volume)
      .filter(
        one => isRegister(one) && one.nexus === nexus && one.outcome === 'done' && one.respondedMs <= fromMs,
      )
      .slice(-1)
    if (last === undefined) return false
    return !this.#of(volume).some(
      one =>
        one !== except &&
        removes(one, last.key) &&
        one.respondedMs >= last.invokedMs &&
        one.invokedMs <= toMs,
    )
  }

  #registersAnewMs(volume: number, nexus: string, fromMs: number): number {
    const anew = this.#of(volume).filter(
      one => isRegister(one) && one.nexus === nexus && one.invokedMs >= fromMs,
    )
    return Math.min(NEVER, ...anew.map(({ invokedMs }) => invokedMs))
  }

  #mayBeRegistered(volume: number, nexus: string, fromMs: number, toMs: number): boolean {
    return this.#of(volume).some(registering => {
      if (!isRegister(registering) || registering.nexus !== nexus || registering.invokedMs > toMs)
        return false
      const { key, respondedMs } = registering
      return !this.#of(volume).some(
        one =>
          one.outcome === 'done' &&
          removes(one, key) &&
          one.invokedMs > respondedMs &&
          one.respondedMs <= fromMs,
      )
    })
  }

  /** Nobody may have ended the reservation since it was certainly made. */
  #wasReserved(volume: number, fromMs: number, toMs: number): boolean {
    const enders = this.#of(volume).filter(({ action }) => action.do === 'release' || action.do === 'clear')
    return this.#of(volume).some(
      one =>
        one.action.do === 'reserve' &&
        one.outcome === 'done' &&
        one.respondedMs <= fromMs &&
        enders.every(ender => ender.respondedMs < one.invokedMs || ender.invokedMs > toMs),
    )
  }

  /** Those that may have had an effect. */
  #of(volume: number): ReservationAttempt[] {
    return this.#attempts.filter(
      one => one.volume === volume && ['pending', 'unknown', 'done'].includes(one.outcome),
    )
  }
}

function isRegister({ action }: ReservationAttempt): boolean {
  return action.do === 'registerAndIgnoreExistingKey'
}

function removes({ action }: ReservationAttempt, key: bigint): boolean {
  return action.do === 'clear' || (action.do === 'preemptAndAbort' && action.victimKey === key)
}
