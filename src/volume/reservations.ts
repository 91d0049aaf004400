import type { ClientIdentity } from './client-identity.ts'
import { decodeReservations, encodeReservations } from './reservations/reservation-codec.ts'
import {
  isAccessPermitted,
  NO_RESERVATIONS,
  type RegistrantName,
  type ReservationState,
} from './reservations/reservation-state.ts'
import {
  type ReservationAction,
  type ReservationNotice,
  type ReservationRefusal,
  stepReservations,
} from './reservations/step-reservations.ts'
import type { StateStorage } from './state-storage.ts'

/** Whoever serves a volume to initiators: told of what a change means to its registrants. */
export interface ReservationListener {
  reservationNotice(notice: ReservationNotice): void
  /** Takes back the registrants' commands; resolves when none of them can have an effect any more. */
  abortTasksOf(registrants: readonly RegistrantName[]): Promise<void>
  /** The whole unit's reservation is another. `lostBy`: its holder, when something else than that one's own doing ended it. */
  unitReservationChanged(lostBy: ClientIdentity | null): void
}

/** A change in force; `aborted` resolves when none of the commands that it takes back can have an effect any more. */
interface Changed {
  readonly result: 'done' | ReservationRefusal
  readonly aborted: Promise<unknown> | null
}

const READ = 1
const WRITE = 2

/**
 * Reservations of one volume, shared by every protocol and target that serves it and enforced through permits().
 * Persistent ones are changed through change(), which stores the new state before it takes effect; the whole
 * unit's (RESERVE (6)) lives in memory and ends with its holder's nexus. They exclude each other.
 */
export class Reservations {
  readonly #storage: StateStorage
  readonly #listeners = new Set<ReservationListener>()
  #state: ReservationState = NO_RESERVATIONS
  #token = 0n
  /** A save failed, perhaps after it took effect: what is stored has to be read again before the next change. */
  #isInDoubt = false
  #permitted = new WeakMap<ClientIdentity, number>()
  /** The nexus that holds the whole unit by RESERVE (6): this very object. SPC-2 §5.5.1. */
  #unitHolder: ClientIdentity | null = null
  #changes: Promise<unknown> = Promise.resolve()
  #changesUnderWay = 0

  constructor(storage: StateStorage) {
    this.#storage = storage
  }

  /**
   * Reads what is stored. After the start of a daemon (`afterPowerLoss`) only reservations made with APTPL
   * are still there, and PRGENERATION begins at 0. SPC-5 §5.14.5. Rejects when the storage cannot be read.
   */
  async load(options: { readonly afterPowerLoss: boolean }): Promise<void> {
    const stored = await this.#storage.load()
    const state = stored === null ? NO_RESERVATIONS : decodeReservations(stored.bytes)
    this.#token = stored?.token ?? 0n
    this.#isInDoubt = false
    if (!options.afterPowerLoss || stored === null) return this.#become(state)
    const kept = state.persistsThroughPowerLoss ? { ...state, generation: 0 } : NO_RESERVATIONS
    // Stored at once: a later reload must not bring back what the loss of power ended.
    this.#token = await this.#storage.save(encodeReservations(kept), this.#token)
    this.#become(kept)
  }

  get state(): ReservationState {
    return this.#state
  }

  /** For PERSISTENT RESERVE IN. Rejects where it is not known whether what is in force here still is. PROTOCOL rule 4. */
  async current(): Promise<ReservationState> {
    return this.#state
  }

  /** Whether `client` may read or write now. Costs nothing while there is no reservation. */
  permits(client: ClientIdentity, access: 'read' | 'write'): boolean {
    if (this.isUnitReservedFrom(client)) return false
    if (this.#state.reservation === null) return true
    let permitted = this.#permitted.get(client)
    if (permitted === undefined) {
      const reads = isAccessPermitted(this.#state, client, 'read')
      const writes = isAccessPermitted(this.#state, client, 'write')
      permitted = (reads ? READ : 0) | (writes ? WRITE : 0)
      this.#permitted.set(client, permitted)
    }
    return (permitted & (access === 'read' ? READ : WRITE)) !== 0
  }

  get isUnitReserved(): boolean {
    return this.#unitHolder !== null
  }

  /** Somebody else than `client` holds the whole unit. */
  isUnitReservedFrom(client: ClientIdentity): boolean {
    return this.#unitHolder !== null && this.#unitHolder !== client && client.protocol !== 'internal'
  }

  /** RESERVE (6): answers false for a conflict, with another holder or with any registration. SPC-2 §7.21. */
  reserveUnit(client: ClientIdentity): boolean {
    // A registration that is being stored has come before.
    const hasRegistrations = this.#changesUnderWay > 0 || this.#state.registrations.length > 0
    if (hasRegistrations || this.isUnitReservedFrom(client)) return false
    this.#holdUnit(client, null)
    return true
  }

  /** RELEASE (6), and the loss of a nexus: no effect on what somebody else holds. SPC-2 §7.16. */
  releaseUnit(client: ClientIdentity): void {
    if (this.#unitHolder === client) this.#holdUnit(null, null)
  }

  /** A reset ends the unit's reservation, whoever holds it. SPC-2 §5.5.1. */
  endUnitReservation(): void {
    if (this.#unitHolder !== null) this.#holdUnit(null, this.#unitHolder)
  }

  /** `listener` is told from now on; the answer takes it off again. */
  listen(listener: ReservationListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Carries out one action: stored first, in force next, other registrants told, then with PREEMPT AND ABORT
   * their commands taken back. Rejects, with nothing assumed, when the storage fails. One change at a time; the
   * next one does not wait for commands to be gone, since it may be one of them.
   */
  async change(client: ClientIdentity, action: ReservationAction): Promise<'done' | ReservationRefusal> {
    this.#changesUnderWay += 1
    const change = this.#changes
      .then(() => this.#change(client, action))
      .finally(() => {
        this.#changesUnderWay -= 1
      })
    this.#changes = change.catch(() => {})
    const { result, aborted } = await change
    await aborted
    return result
  }

  #holdUnit(holder: ClientIdentity | null, lostBy: ClientIdentity | null): void {
    this.#unitHolder = holder
    for (const listener of this.#listeners) listener.unitReservationChanged(lostBy)
  }

  async #change(client: ClientIdentity, action: ReservationAction): Promise<Changed> {
    if (this.isUnitReserved) return { result: 'conflict', aborted: null }
    if (this.#isInDoubt) await this.load({ afterPowerLoss: false })
    const outcome = stepReservations(this.#state, client, action)
    if (outcome.result !== 'done') return { result: outcome.result, aborted: null }
    if (outcome.state !== this.#state) {
      try {
        this.#token = await this.#storage.save(encodeReservations(outcome.state), this.#token)
      } catch (error) {
        this.#isInDoubt = true
        throw error
      }
      this.#become(outcome.state)
    }
    for (const listener of this.#listeners) {
      for (const notice of outcome.notices) listener.reservationNotice(notice)
    }
    if (outcome.abort.length === 0) return { result: 'done', aborted: null }
    // Taken back before the next change: what the victims send once they have registered anew stays.
    const aborted = Promise.all([...this.#listeners].map(listener => listener.abortTasksOf(outcome.abort)))
    return { result: 'done', aborted }
  }

  #become(state: ReservationState): void {
    this.#state = state
    this.#permitted = new WeakMap()
  }
}
