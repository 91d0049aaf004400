import type { BlockExtent } from '../block/block-device.ts'
import { BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { OwnedHere } from '../replication/replication.ts'
import type { Timers } from '../replication/timers.ts'
import { STORE_BLOCK_BYTES } from '../volume/block-alignment.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { OwnedVolume } from '../volume/owned-volume.ts'
import { encodeReservations } from '../volume/reservations/reservation-codec.ts'
import type { RegistrantName } from '../volume/reservations/reservation-state.ts'
import type { ReservationNotice, ReservationRefusal } from '../volume/reservations/step-reservations.ts'
import type { SanitizeOrder } from '../volume/sanitize/sanitize-state.ts'
import { NO_LIMITS } from '../volume/throttle/volume-limits.ts'
import type { StreamKey } from './client-key.ts'
import { CLIENTS_PER_GATEWAY_MAX, EXTENTS_PER_ANSWER_MAX, type GatewayLimits } from './limits.ts'
import {
  fromWireAction,
  type Outcome,
  type OwnerEvent,
  type OwnerPort,
  type OwnerState,
  type ResumeAnswer,
  type ResumedStream,
  type WireAction,
} from './messages.ts'
import { OwnerStreams } from './owner-streams.ts'
import { ServedGateway } from './served-gateway.ts'

/** A volume is made with epoch 1, and its first owner raises it. */
const FIRST_OWNED_EPOCH = 2

export interface OwnedServiceOptions {
  readonly owned: OwnedHere
  readonly volume: OwnedVolume
  readonly timers: Timers
  readonly limits: GatewayLimits
  /**
   * Tells a gateway what `event` says whenever that is tried; resolves when it has answered. One that cannot be reached
   * is waited for only where commands are taken back and its daemon is up, and not for ever.
   */
  readonly tell: (gateway: number, event: () => OwnerEvent) => Promise<void>
}

/** A volume at its owner, for the clients of every gateway: who they are, their streams, what they hear. */
export class OwnedService {
  readonly epoch: number
  readonly volume: OwnedVolume
  readonly streams: OwnerStreams
  readonly #options: OwnedServiceOptions
  readonly #gateways = new Map<number, ServedGateway>()
  readonly #stopListening: (() => void)[]
  #head: OwnedHere['head']
  #lastState = 0

  constructor(options: OwnedServiceOptions) {
    const { owned, volume, timers, limits } = options
    this.#options = options
    this.#head = owned.head
    this.epoch = owned.epoch
    this.volume = volume
    this.#limit()
    this.streams = new OwnerStreams({
      epoch: owned.epoch,
      timers,
      limits,
      fate: operation => owned.fate(operation),
      isFirst: owned.epoch <= FIRST_OWNED_EPOCH,
      rightsVersion: owned.head.rightsVersion ?? 0,
      killed: ({ gateway, key, number }) =>
        void options.tell(gateway, () => ({ is: 'streamDead', key, number })),
    })
    this.#stopListening = [volume.reservations.listen(this), volume.onChange(() => void this.#tellState())]
  }

  get uuid(): string {
    return this.volume.uuid
  }

  /** The epoch is over: what was refused as unavailable may have been carried out. */
  get hasEnded(): boolean {
    return this.#options.owned.ended
  }

  /** What this gateway has open here, or null when it never attached. */
  gateway(peerNumber: number): ServedGateway | null {
    return this.#gateways.get(peerNumber) ?? null
  }

  /** The owner as the gateway with this number sees it. */
  portFor(gateway: number): OwnerPort {
    return {
      attach: async () => this.#attach(gateway),
      openClient: async client => this.#openClient(gateway, client),
      closeClient: number => this.#closeClient(gateway, number),
      abort: async tag => this.#abort(gateway, tag),
      resume: stream => this.#resume(gateway, stream),
      settled: number => this.streams.settled(gateway, number),
      register: (key, rightsVersion) => this.#register(gateway, key, rightsVersion),
      fence: (initiator, rightsVersion) => this.#fence(initiator, rightsVersion),
      outcomes: (number, sequences) => this.#outcomes(gateway, number, sequences),
      reservations: () => this.#reservations(),
      reserve: (client, action) => this.#reserve(gateway, client, action),
      reserveUnit: async client => this.#reserveUnit(gateway, client),
      releaseUnit: async client => this.#releaseUnit(gateway, client),
      endUnit: async () => this.#endUnit(),
      sanitize: order => this.#sanitize(order),
      exitSanitizeFailure: () => this.#exitSanitizeFailure(),
      extents: (offsetBytes, lengthBytes) => this.#extents(offsetBytes, lengthBytes),
    }
  }

  /** Connections of this gateway have ended: what it has not handed over yet never comes. */
  disconnected(gateway: number): void {
    void this.#gateways.get(gateway)?.closeHandles()
  }

  changed(owned: OwnedHere): void {
    this.#head = owned.head
    const { readOnly, rightsVersion = 0 } = owned.head
    this.streams.raiseRightsVersion(rightsVersion)
    this.volume.grow(Math.max(owned.sizeBytes, this.volume.sizeBytes))
    this.volume.setReadOnly(readOnly)
    this.#limit()
    void this.#tellState()
  }

  /** Acknowledged writes may be gone: the state carries the number that says so. */
  lost(owned: OwnedHere): void {
    this.#head = owned.head
    void this.#tellState()
  }

  /** Resolves when nothing of the volume is served any more. */
  async close(): Promise<void> {
    for (const stop of this.#stopListening) stop()
    this.streams.close()
    await this.volume.close()
  }

  // ReservationListener: what the reservations mean to the clients of every gateway.

  reservationNotice(notice: ReservationNotice): void {
    for (const gateway of this.#gateways.keys())
      void this.#options.tell(gateway, () => ({ is: 'notice', notice }))
  }

  async abortTasksOf(registrants: readonly RegistrantName[]): Promise<void> {
    const waits: Promise<unknown>[] = []
    for (const [number, gateway] of this.#gateways) {
      waits.push(gateway.abortTasksOf(registrants))
      waits.push(this.#options.tell(number, () => ({ is: 'abortTasks', registrants })))
    }
    await Promise.all(waits)
  }

  unitReservationChanged(): void {
    void this.#tellState()
  }

  #state(): OwnerState {
    const { sizeBytes, readOnly, reservations, sanitization } = this.volume
    return {
      epoch: this.epoch,
      number: ++this.#lastState,
      sizeBytes,
      readOnly,
      lossGeneration: this.#head.lossGeneration,
      reservations: encodeReservations(reservations.state).toString('base64'),
      isUnitReserved: reservations.isUnitReserved,
      sanitizeRefusal: sanitization.refusal,
      sanitizeProgress: sanitization.progress,
    }
  }

  #limit(): void {
    this.volume.limit(this.#head.limits ?? NO_LIMITS, this.#options.timers)
  }

  #attach(gateway: number): OwnerState {
    this.#served(gateway)
    return this.#state()
  }

  #served(gateway: number): ServedGateway {
    let served = this.#gateways.get(gateway)
    if (served === undefined) {
      served = new ServedGateway(this.volume)
      this.#gateways.set(gateway, served)
    }
    return served
  }

  #openClient(gateway: number, client: ClientIdentity): number {
    const served = this.#served(gateway)
    if (served.clients >= CLIENTS_PER_GATEWAY_MAX) {
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE', 'too many clients come by one gateway')
    }
    return served.open(client)
  }

  async #closeClient(gateway: number, number: number): Promise<null> {
    await this.#gateways.get(gateway)?.close(number)
    return null
  }

  #abort(gateway: number, tag: number): null {
    this.#gateways.get(gateway)?.abort(tag)
    return null
  }

  async #resume(gateway: number, stream: ResumedStream): Promise<ResumeAnswer> {
    this.#served(gateway)
    return this.streams.resume(gateway, stream)
  }

  async #register(gateway: number, key: StreamKey, rightsVersion: number): Promise<number> {
    this.#served(gateway)
    return this.streams.register(gateway, key, rightsVersion)
  }

  async #fence(initiator: string, rightsVersion: number): Promise<null> {
    this.streams.raiseRightsVersion(rightsVersion)
    await this.streams.end(initiator)
    await this.#requireOwnership()
    return null
  }

  async #outcomes(
    gateway: number,
    number: number,
    sequences: readonly number[],
  ): Promise<readonly Outcome[]> {
    const stream = this.streams.find(number)
    if (stream === null || stream.gateway !== gateway) return sequences.map(() => 'unknown')
    return stream.outcomes(sequences)
  }

  async #reservations(): Promise<string> {
    const { reservations } = this.#state()
    await this.#requireOwnership()
    return reservations
  }

  /** A read that succeeds shows that nobody else was the owner when this was called. PROTOCOL rule 4. */
  async #requireOwnership(): Promise<void> {
    const handle = this.volume.open({ protocol: 'internal' })
    const block = Buffer.alloc(STORE_BLOCK_BYTES)
    const status = await new Promise<BlockStatus>(resolve => {
      const operation = new BlockOperation({ blockDone: done => resolve(done.status) })
      handle.submit(Object.assign(operation, { lengthBytes: block.length, data: block }))
    })
    await handle.close()
    if (status === BlockStatus.unavailable) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
  }

  async #reserve(
    gateway: number,
    client: ClientIdentity,
    action: WireAction,
  ): Promise<'done' | ReservationRefusal> {
    const identity = this.#served(gateway).identity(client)
    try {
      return await this.volume.reservations.change(identity, fromWireAction(action))
    } finally {
      await this.#tellState()
    }
  }

  #reserveUnit(gateway: number, client: ClientIdentity): boolean {
    return this.volume.reservations.reserveUnit(this.#served(gateway).identity(client))
  }

  #releaseUnit(gateway: number, client: ClientIdentity): null {
    this.volume.reservations.releaseUnit(this.#served(gateway).identity(client))
    return null
  }

  #endUnit(): null {
    this.volume.reservations.endUnitReservation()
    return null
  }

  async #sanitize(order: SanitizeOrder): Promise<boolean> {
    const { sanitization } = this.volume
    const hasStarted = await sanitization.start(order)
    await this.#tellState()
    if (hasStarted) void sanitization.whenEnded().then(() => this.#tellState())
    return hasStarted
  }

  async #exitSanitizeFailure(): Promise<boolean> {
    const isOver = await this.volume.sanitization.exitFailureMode()
    await this.#tellState()
    return isOver
  }

  async #extents(offsetBytes: number, lengthBytes: number): Promise<readonly BlockExtent[]> {
    const { blockSizeBytes, sizeBytes } = this.volume
    const isWhole = offsetBytes % blockSizeBytes === 0 && lengthBytes % blockSizeBytes === 0
    if (!isWhole || lengthBytes <= 0 || offsetBytes < 0 || offsetBytes + lengthBytes > sizeBytes) {
      throw new HoldfastError('ERR_BLOCK_OUT_OF_RANGE')
    }
    return (await this.volume.extents(offsetBytes, lengthBytes)).slice(0, EXTENTS_PER_ANSWER_MAX)
  }

  async #tellState(): Promise<void> {
    const event = () => ({ is: 'state', state: this.#state() }) as const
    await Promise.all([...this.#gateways.keys()].map(gateway => this.#options.tell(gateway, event)))
  }
}
