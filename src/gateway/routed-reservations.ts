import type { ClientIdentity } from '../volume/client-identity.ts'
import { decodeReservations } from '../volume/reservations/reservation-codec.ts'
import {
  isAccessPermitted,
  NO_RESERVATIONS,
  type RegistrantName,
  type ReservationState,
} from '../volume/reservations/reservation-state.ts'
import type {
  ReservationAction,
  ReservationNotice,
  ReservationRefusal,
} from '../volume/reservations/step-reservations.ts'
import type { ReservationListener, Reservations } from '../volume/reservations.ts'
import type { VolumeReservations } from '../volume/volume.ts'
import { type OwnerPort, type OwnerState, toWireAction } from './messages.ts'

/** The volume whose reservations these are. */
export interface ReservationsRoute {
  whenAttached(): Promise<OwnerPort>
}

/**
 * Reservations of a volume, wherever its owner is. The owner enforces them for every operation; what is kept here
 * of a remote one is its last word, good for commands that touch no data.
 */
export class RoutedReservations implements VolumeReservations {
  readonly #route: ReservationsRoute
  readonly #listeners = new Set<ReservationListener>()
  #local: Reservations | null = null
  #state: ReservationState = NO_RESERVATIONS
  #stored = ''
  #isUnitReserved = false
  /** The client of this gateway that holds the whole unit, wherever the owner is. It ends with the owner. */
  #unitHolder: ClientIdentity | null = null
  /** A remote owner has answered the RESERVE, and not said yet that the unit is reserved: states from before may come. */
  #isAnswerAhead = false

  constructor(route: ReservationsRoute) {
    this.#route = route
  }

  get state(): ReservationState {
    return this.#local?.state ?? this.#state
  }

  async current(): Promise<ReservationState> {
    const port = await this.#route.whenAttached()
    return decodeReservations(Buffer.from(await port.reservations(), 'base64'))
  }

  permits(client: ClientIdentity, access: 'read' | 'write'): boolean {
    if (this.#local !== null) return this.#local.permits(client, access)
    if (this.isUnitReservedFrom(client)) return false
    return this.#state.reservation === null || isAccessPermitted(this.#state, client, access)
  }

  get isUnitReserved(): boolean {
    return this.#local?.isUnitReserved ?? this.#isUnitReserved
  }

  isUnitReservedFrom(client: ClientIdentity): boolean {
    if (this.#local !== null) return this.#local.isUnitReservedFrom(client)
    return this.#isUnitReserved && this.#unitHolder !== client && client.protocol !== 'internal'
  }

  /** False for a conflict. At a remote owner that takes a while. */
  reserveUnit(client: ClientIdentity): boolean | Promise<boolean> {
    if (this.#local === null) return this.#reserveUnit(client)
    return this.#reserved(client, this.#local.reserveUnit(client))
  }

  releaseUnit(client: ClientIdentity): void {
    if (this.#unitHolder !== client) return
    this.#unitHolder = null
    this.#isUnitReserved = false
    if (this.#local !== null) this.#local.releaseUnit(client)
    else this.#tellOwner(port => port.releaseUnit(client))
  }

  endUnitReservation(): void {
    const isReserved = this.isUnitReserved
    this.#lost()
    if (this.#local !== null) this.#local.endUnitReservation()
    else if (isReserved) this.#tellOwner(port => port.endUnit())
  }

  listen(listener: ReservationListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Carried out by the owner, once: when its answer is lost, whether it was is unknown. PROTOCOL rule 18. */
  async change(client: ClientIdentity, action: ReservationAction): Promise<'done' | ReservationRefusal> {
    const port = await this.#route.whenAttached()
    return port.reserve(client, toWireAction(action))
  }

  /** The owner's own, when it is in this process; null when it is not. */
  routeChanged(local: Reservations | null): void {
    this.#local = local
    this.#isAnswerAhead = false
  }

  become({ reservations, isUnitReserved }: OwnerState): void {
    if (this.#local?.isUnitReserved ?? isUnitReserved) {
      this.#isUnitReserved = true
      this.#isAnswerAhead = false
    } else if (!this.#isAnswerAhead) {
      this.#isUnitReserved = false
      this.#lost()
    }
    if (reservations === this.#stored) return
    this.#stored = reservations
    this.#state = decodeReservations(Buffer.from(reservations, 'base64'))
  }

  notice(notice: ReservationNotice): void {
    for (const listener of this.#listeners) listener.reservationNotice(notice)
  }

  async abortTasksOf(registrants: readonly RegistrantName[]): Promise<void> {
    await Promise.all([...this.#listeners].map(listener => listener.abortTasksOf(registrants)))
  }

  clientClosed(client: ClientIdentity): void {
    this.releaseUnit(client)
  }

  async #reserveUnit(client: ClientIdentity): Promise<boolean> {
    const port = await this.#route.whenAttached()
    return this.#reserved(client, await port.reserveUnit(client))
  }

  #reserved(client: ClientIdentity, isReserved: boolean): boolean {
    if (isReserved) {
      this.#unitHolder = client
      this.#isAnswerAhead = this.#local === null && !this.#isUnitReserved
      this.#isUnitReserved = true
    }
    return isReserved
  }

  /** An owner that knows nothing of it has taken over, or somebody has reset the unit. */
  #lost(): void {
    const holder = this.#unitHolder
    if (holder === null) return
    this.#unitHolder = null
    for (const listener of this.#listeners) listener.unitReservationChanged(holder)
  }

  #tellOwner(tell: (port: OwnerPort) => Promise<unknown>): void {
    this.#route
      .whenAttached()
      .then(tell)
      .catch(() => {})
  }
}
