import type { BlockExtent } from '../block/block-device.ts'
import type { BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import type { Timers } from '../replication/timers.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { Volume, VolumeChange } from '../volume/volume.ts'
import { AMPLE_SPACE, type VolumeSpace } from '../volume/volume-space.ts'
import { clientName, type StreamKey, streamKeyOf } from './client-key.ts'
import { GatewayStream } from './gateway-stream.ts'
import type { GatewayLimits } from './limits.ts'
import type { OwnerEvent, OwnerPort, OwnerState } from './messages.ts'
import { OperationRouter } from './operation-router.ts'
import type { OwnedService } from './owned-service.ts'
import { OwnerRoute } from './owner-route.ts'
import type { Route } from './route.ts'
import { RoutedHandle, type RoutedHandleOwner } from './routed-handle.ts'
import { type RoutedOperation, RoutedState } from './routed-operation.ts'
import { RoutedReservations } from './routed-reservations.ts'
import { RoutedSanitization } from './routed-sanitization.ts'
import { StreamKeeper, type StreamKeeperVolume } from './stream-keeper.ts'

/** What never changes of a volume, and its size and protection as the catalogue has them. */
export interface RoutedDescription {
  readonly name: string
  readonly uuid: string
  readonly naa: Buffer
  readonly blockSizeBytes: 512 | 4096
  readonly removable: boolean
  readonly sizeBytes: number
  readonly readOnly: boolean
}

export interface RoutedVolumeOptions {
  readonly description: RoutedDescription
  /** This daemon's small number. */
  readonly self: number
  readonly timers: Timers
  readonly limits: GatewayLimits
  /** The way to the owner as it is now; null while there is none. */
  readonly route: () => Route | null
  /** The connections of a client end at once, and nothing more of what they sent is read. */
  readonly drop: (client: ClientIdentity) => void
  /** Of the head, as it is known here. */
  readonly rightsVersion: () => number
  /** Names of the clients that have it open at other gateways. */
  readonly usersElsewhere: () => Promise<string[]>
  /** Somebody uses the volume here: then it should have an owner. */
  readonly used: (isUsed: boolean) => void
  readonly closed: () => void
}

/**
 * A volume as every gateway serves it: passes operations on to the owner, in this process or in another daemon, and
 * keeps them over a change of owner. PROTOCOL rules 17 and 18.
 */
export class RoutedVolume implements Volume, RoutedHandleOwner, StreamKeeperVolume {
  readonly name: string
  readonly uuid: string
  readonly naa: Buffer
  readonly blockSizeBytes: 512 | 4096
  readonly removable: boolean
  readonly reservations: RoutedReservations
  readonly sanitization: RoutedSanitization
  readonly #options: RoutedVolumeOptions
  readonly #handles = new Set<RoutedHandle>()
  readonly #streams = new Map<StreamKey, GatewayStream>()
  readonly #listeners = new Set<(change: VolumeChange) => void>()
  readonly #owner: OwnerRoute
  readonly #router: OperationRouter
  readonly #keeper: StreamKeeper
  #sizeBytes: number
  #readOnly: boolean
  #lossGeneration: number | null = null
  /** The newest state that owners have told. */
  #latest: OwnerState | null = null

  constructor(options: RoutedVolumeOptions) {
    const { description, timers, limits, route, drop } = options
    this.#options = options
    this.name = description.name
    this.uuid = description.uuid
    this.naa = description.naa
    this.blockSizeBytes = description.blockSizeBytes
    this.removable = description.removable
    this.#sizeBytes = description.sizeBytes
    this.#readOnly = description.readOnly
    this.reservations = new RoutedReservations(this)
    this.sanitization = new RoutedSanitization(this)
    this.#owner = new OwnerRoute({
      timers,
      limits,
      route,
      attached: state => this.#attached(state),
      detached: () => this.#detached(),
    })
    const [owner, handles, keeper] = [this.#owner, this.#handles, () => this.#keeper]
    this.#router = new OperationRouter({ uuid: this.uuid, timers, limits, owner, handles, keeper, drop })
    this.#keeper = new StreamKeeper(this)
    this.#owner.look()
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get readOnly(): boolean {
    return this.#readOnly
  }

  get space(): VolumeSpace {
    return this.#owner.local?.volume.space ?? AMPLE_SPACE
  }

  /** The owner in this process, while it is here and serves. */
  get localService(): OwnedService | null {
    return this.#owner.local
  }

  get openHandles(): number {
    return this.#handles.size
  }

  /** Names of the clients that have it open here. */
  get users(): string[] {
    return [...new Set([...this.#handles].flatMap(({ client }) => clientName(client) ?? []))]
  }

  /** As `users`, of all other gateways. Rejects with ERR_BLOCK_UNAVAILABLE when one that is up does not answer. */
  usersElsewhere(): Promise<string[]> {
    return this.#options.usersElsewhere()
  }

  open(client: ClientIdentity): RoutedHandle {
    const handle = new RoutedHandle(this, client, this.#streamOf(client))
    if (this.#handles.size === 0) this.#options.used(true)
    this.#handles.add(handle)
    handle.local = this.#owner.local?.volume.open(client) ?? null
    return handle
  }

  onChange(listener: (change: VolumeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** As the catalogue has it now; what the owner says counts for more once it has said something. */
  apply(description: { readonly sizeBytes: number; readonly readOnly: boolean }): void {
    if (this.#owner.epoch === 0) this.#become(description.sizeBytes, description.readOnly)
  }

  /** Ends what waits, waits for the rest. Everything is refused from the call on. */
  async close(): Promise<void> {
    await Promise.all([...this.#handles].map(handle => handle.close()))
    this.#owner.close()
    this.#options.closed()
  }

  /** As ServedVolume.fence in control. */
  async fence(initiator: string, rightsVersion: number): Promise<void> {
    // Without it a volume that nobody uses here might have no owner, or one that nobody has asked to leave.
    const handle = this.open({ protocol: 'internal' })
    try {
      await this.#owner.ask(port => port.fence(initiator, rightsVersion))
    } finally {
      await handle.close()
    }
  }

  /** The owner has changed, or the way to it. */
  routeChanged(): void {
    if (this.#owner.look()) this.#tell('accessStates')
  }

  /** From the owner. Resolves when the event has had its effect here. */
  async ownerEvent(epoch: number, event: OwnerEvent): Promise<void> {
    if (event.is === 'state') {
      if (!isNewer(event.state, this.#latest)) return
      this.#latest = event.state
    }
    if (epoch !== this.#owner.epoch) return
    if (event.is === 'state') this.#ownerSays(event.state)
    else if (event.is === 'notice') this.reservations.notice(event.notice)
    else if (event.is === 'abortTasks') await this.reservations.abortTasksOf(event.registrants)
    else this.#keeper.killed(event.key, event.number)
  }

  whenAttached(): Promise<OwnerPort> {
    return this.#owner.whenAttached()
  }

  // RoutedHandleOwner.

  submit(handle: RoutedHandle, operation: BlockOperation): void {
    this.#router.submit(handle, operation)
  }

  abort(routed: RoutedOperation): void {
    this.#router.abort(routed)
  }

  /** Asks the next owner when this one goes, for `ownerWaitMs`. */
  extents(handle: RoutedHandle, offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    return this.#owner.ask(
      port => handle.local?.extents(offsetBytes, lengthBytes) ?? extentsOf(port, offsetBytes, lengthBytes),
      error => error instanceof HoldfastError && error.code !== 'ERR_BLOCK_UNAVAILABLE',
    )
  }

  async closed(handle: RoutedHandle): Promise<void> {
    if (!this.#handles.delete(handle)) return
    this.reservations.clientClosed(handle.client)
    await handle.local?.close()
    const { route } = this.#owner
    if (handle.remoteNumber > 0 && route?.is === 'remote') {
      route.port.closeClient(handle.remoteNumber).catch(() => {})
    }
    if (this.#handles.size === 0) this.#options.used(false)
  }

  // StreamKeeperVolume.

  get streams(): Iterable<GatewayStream> {
    return this.#streams.values()
  }

  get epoch(): number {
    return this.#owner.epoch
  }

  get generation(): number {
    return this.#owner.generation
  }

  get port(): OwnerPort | null {
    return this.#owner.port
  }

  get rightsVersion(): number {
    return this.#options.rightsVersion()
  }

  operationsOf(stream: GatewayStream): RoutedOperation[] {
    return [...this.#handles].flatMap(handle => (handle.stream === stream ? [...handle.operations] : []))
  }

  isWanted(stream: GatewayStream): boolean {
    return this.#router.waiting.some(({ isChange, handle }) => isChange && handle.stream === stream)
  }

  pause(): Promise<void> {
    return this.#owner.pause()
  }

  repeat(routed: RoutedOperation): void {
    this.#router.repeat(routed)
  }

  end(routed: RoutedOperation, status: BlockStatus, failedAtBytes: number): void {
    this.#router.end(routed, status, failedAtBytes)
  }

  giveUp(routed: RoutedOperation): void {
    this.#router.giveUp(routed)
  }

  advance(): void {
    this.#router.advance()
  }

  streamDied(stream: GatewayStream): void {
    if (this.#streams.get(stream.key) === stream) this.#streams.delete(stream.key)
    this.#options.drop(stream.client)
    for (const routed of this.operationsOf(stream)) {
      if (routed.state === RoutedState.inDoubt) this.#router.end(routed, BlockStatus.inDoubt, 0)
      else if (routed.state === RoutedState.waiting) this.#router.abort(routed)
    }
  }

  #streamOf(client: ClientIdentity): GatewayStream {
    const key = streamKeyOf(client, this.#options.self)
    let stream = this.#streams.get(key)
    if (stream === undefined) {
      stream = new GatewayStream(key, client)
      this.#streams.set(key, stream)
    }
    return stream
  }

  #attached(state: OwnerState): void {
    const service = this.#owner.local
    this.reservations.routeChanged(service?.volume.reservations ?? null)
    if (service !== null) {
      for (const handle of this.#handles) handle.local ??= service.volume.open(handle.client)
    }
    // An event of this owner may have come before its answer.
    if (this.#latest?.epoch !== state.epoch || isNewer(state, this.#latest)) this.#latest = state
    this.#ownerSays(this.#latest)
    this.#keeper.attached()
    this.#router.advance()
  }

  #detached(): void {
    this.reservations.routeChanged(null)
    for (const handle of this.#handles) {
      handle.local = null
      handle.remoteNumber = 0
    }
    this.#router.detached()
    this.#keeper.detached()
  }

  #ownerSays(state: OwnerState): void {
    this.#become(state.sizeBytes, state.readOnly)
    this.reservations.become(state)
    this.sanitization.become(state)
    const isLoss = this.#lossGeneration !== null && state.lossGeneration > this.#lossGeneration
    this.#lossGeneration = state.lossGeneration
    if (isLoss) this.#writesLost()
  }

  /**
   * Acknowledged writes may be gone: whoever had some that were not flushed has to know, by whatever session it
   * flushes next. PROTOCOL rule 16.
   */
  #writesLost(): void {
    for (const stream of this.#streams.values()) {
      if (!stream.hasUnflushed) continue
      stream.flushedWrites = stream.writes
      for (const handle of this.#handles) if (handle.stream === stream) handle.hasLostWrites = true
      if (stream.client.protocol === 'nbd') this.#options.drop(stream.client)
    }
  }

  #become(sizeBytes: number, readOnly: boolean): void {
    const [grew, isProtected] = [sizeBytes > this.#sizeBytes, readOnly !== this.#readOnly]
    this.#sizeBytes = Math.max(sizeBytes, this.#sizeBytes)
    this.#readOnly = readOnly
    if (grew) this.#tell('resized')
    if (isProtected) this.#tell('writeProtection')
  }

  #tell(change: VolumeChange): void {
    for (const listener of this.#listeners) listener(change)
  }
}

/** Daemons of an earlier release do not number what they say. */
function isNewer({ epoch, number }: OwnerState, than: OwnerState | null): boolean {
  if (than === null || epoch !== than.epoch) return than === null || epoch > than.epoch
  return !(number < than.number)
}

/** The owner tells as many at a time as fit into one answer. */
async function extentsOf(port: OwnerPort, offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
  const found: BlockExtent[] = []
  const endBytes = offsetBytes + lengthBytes
  for (let at = offsetBytes; at < endBytes; ) {
    const some = await port.extents(at, endBytes - at)
    const last = some.at(-1)
    if (last === undefined) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    found.push(...some)
    at = last.offsetBytes + last.lengthBytes
  }
  return found
}
