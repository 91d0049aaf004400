import type { BlockExtent } from '../block/block-device.ts'
import { BlockKind, type BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { type PeerRequest, PeerStatus } from '../replication/peer-network.ts'
import type { Timers } from '../replication/timers.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { Volume, VolumeChange } from '../volume/volume.ts'
import { AMPLE_SPACE, type VolumeSpace } from '../volume/volume-space.ts'
import { type StreamKey, streamKeyOf } from './client-key.ts'
import { GatewayStream, StreamState } from './gateway-stream.ts'
import { type GatewayLimits, LOOK_MS, TRY_AGAIN_MS } from './limits.ts'
import type { OwnerEvent, OwnerPort, OwnerState } from './messages.ts'
import { isSameRoute, type Route } from './route.ts'
import { RoutedHandle, type RoutedHandleOwner } from './routed-handle.ts'
import { RoutedOperation, type RoutedOwner, RoutedState } from './routed-operation.ts'
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
  /** Somebody uses the volume here: then it should have an owner. */
  readonly used: (isUsed: boolean) => void
  readonly closed: () => void
}

/** Operations kept for the next use. */
const IDLE_OPERATIONS_MAX = 1024

/**
 * A volume as every gateway serves it: passes operations on to the owner, in this process or in another daemon, and
 * keeps them over a change of owner. PROTOCOL rules 17 and 18.
 */
export class RoutedVolume implements Volume, RoutedHandleOwner, RoutedOwner, StreamKeeperVolume {
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
  readonly #keeper: StreamKeeper
  readonly #listeners = new Set<(change: VolumeChange) => void>()
  readonly #idle: RoutedOperation[] = []
  /** In the order of their arrival, but repeats go first. */
  #waiting: RoutedOperation[] = []
  #isLooking = false
  #lastTag = 0
  #route: Route | null = null
  /** The owner has answered; nothing is sent before. */
  #isAttached = false
  #generation = 0
  #epoch = 0
  #sizeBytes: number
  #readOnly: boolean
  #lossGeneration: number | null = null
  #isClosed = false

  constructor(options: RoutedVolumeOptions) {
    const { description } = options
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
    this.#keeper = new StreamKeeper(this)
    this.routeChanged()
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get readOnly(): boolean {
    return this.#readOnly
  }

  get space(): VolumeSpace {
    return this.#route?.is === 'local' ? this.#route.service.volume.space : AMPLE_SPACE
  }

  /** Of the owner that answered last. */
  get epoch(): number {
    return this.#epoch
  }

  /** Rises whenever the way to the owner changes: what was asked before is out of date. */
  get generation(): number {
    return this.#generation
  }

  /** The owner, while it answers. */
  get port(): OwnerPort | null {
    return this.#isAttached ? this.#route!.port : null
  }

  /** Its owner answers: what comes now need not wait for one. */
  get isServing(): boolean {
    return this.#isAttached
  }

  /** The owner in this process, while it is here and serves. */
  get localService() {
    return this.#isAttached && this.#route?.is === 'local' ? this.#route.service : null
  }

  get openHandles(): number {
    return this.#handles.size
  }

  open(client: ClientIdentity): RoutedHandle {
    const handle = new RoutedHandle(this, client, this.#streamOf(client))
    if (this.#handles.size === 0) this.#options.used(true)
    this.#handles.add(handle)
    this.#openLocal(handle)
    return handle
  }

  onChange(listener: (change: VolumeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** As the catalogue has it now; what the owner says counts for more once it has said something. */
  apply(description: { readonly sizeBytes: number; readonly readOnly: boolean }): void {
    if (this.#epoch === 0) this.#become(description.sizeBytes, description.readOnly)
  }

  /** Ends what waits, waits for the rest. Everything is refused from the call on. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#handles].map(handle => handle.close()))
    this.#generation++
    this.reservations.routeChanged(null)
    this.#route = null
    this.#options.closed()
  }

  /** The owner has changed, or the way to it. */
  routeChanged(): void {
    const route = this.#isClosed ? null : this.#options.route()
    if (isSameRoute(route, this.#route)) return
    this.#route = route
    this.#detach()
    if (route !== null) void this.#attach(route, this.#generation)
    this.#tell('accessStates')
  }

  /** From the owner. Resolves when the event has had its effect here. */
  async ownerEvent(epoch: number, event: OwnerEvent): Promise<void> {
    if (epoch !== this.#epoch) return
    if (event.is === 'state') this.#ownerSays(event.state)
    else if (event.is === 'notice') this.reservations.notice(event.notice)
    else if (event.is === 'abortTasks') await this.reservations.abortTasksOf(event.registrants)
    else this.#keeper.killed(event.key, event.number)
  }

  // RoutedHandleOwner.

  submit(handle: RoutedHandle, operation: BlockOperation): void {
    const routed = this.#idle.pop() ?? new RoutedOperation(this)
    routed.prepare(operation, handle, this.#options.timers.bootMs())
    operation.status = BlockStatus.ok
    handle.operations.add(routed)
    if (handle.isClosed || handle.stream.state === StreamState.dead) {
      return void Promise.resolve().then(() => this.end(routed, BlockStatus.unavailable, 0))
    }
    if (operation.kind === BlockKind.flush && handle.hasLostWrites) {
      handle.hasLostWrites = false
      return void Promise.resolve().then(() => this.end(routed, BlockStatus.writesLost, 0))
    }
    if (!this.#send(routed)) this.#wait(routed)
  }

  abort(routed: RoutedOperation): void {
    routed.isCancelled = true
    if (routed.state === RoutedState.waiting) {
      this.#waiting = this.#waiting.filter(other => other !== routed)
      void Promise.resolve().then(() => this.end(routed, BlockStatus.aborted, 0))
    } else if (routed.state === RoutedState.sent) {
      routed.handle.local?.abort(routed.inner)
      if (this.#route?.is === 'remote' && this.#isAttached) this.#route.port.abort(routed.tag).catch(() => {})
    }
  }

  async extents(handle: RoutedHandle, offsetBytes: number, lengthBytes: number): Promise<BlockExtent[]> {
    if (handle.local !== null) return handle.local.extents(offsetBytes, lengthBytes)
    const port = await this.whenAttached()
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

  async closed(handle: RoutedHandle): Promise<void> {
    if (!this.#handles.delete(handle)) return
    this.reservations.clientClosed(handle.client)
    await handle.local?.close()
    if (handle.remoteNumber > 0 && this.#route?.is === 'remote') {
      this.#route.port.closeClient(handle.remoteNumber).catch(() => {})
    }
    if (this.#handles.size === 0) this.#options.used(false)
  }

  /** The owner's port as soon as it answers. Rejects with ERR_BLOCK_UNAVAILABLE after `ownerWaitMs`. */
  async whenAttached(): Promise<OwnerPort> {
    const { timers, limits } = this.#options
    const untilMs = timers.bootMs() + limits.ownerWaitMs
    while (this.port === null) {
      if (this.#isClosed || timers.bootMs() >= untilMs) throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
      await this.pause()
    }
    return this.port
  }

  // RoutedOwner.

  localEnded(routed: RoutedOperation): void {
    const { status, failedAtBytes } = routed.inner
    routed.ownerStream?.ended(routed.sequence, status, failedAtBytes)
    routed.ownerStream = null
    const isRefused =
      status === BlockStatus.unavailable || (status === BlockStatus.aborted && !routed.isCancelled)
    if (isRefused && !routed.handle.isClosed && this.#hasLeft(routed)) this.#lose(routed)
    else this.end(routed, status, failedAtBytes)
  }

  replied(routed: RoutedOperation, request: PeerRequest): void {
    routed.requestsOut--
    if (request !== routed.current) {
      if (routed.state === RoutedState.ended && routed.requestsOut === 0) this.#complete(routed)
      return
    }
    routed.current = null
    const { status, failedAtBytes } = request
    if (status < PeerStatus.lost) return this.end(routed, status as BlockStatus, failedAtBytes)
    if (status === PeerStatus.lost) return this.#lose(routed)
    if (status === PeerStatus.deadStream) {
      this.#keeper.killed(routed.handle.stream.key, routed.stream)
      return this.end(routed, BlockStatus.unavailable, 0)
    }
    // Nothing was done: the owner is another one, or does not know the client any more.
    if (status === PeerStatus.refused) routed.handle.remoteNumber = 0
    else if (routed.epoch === this.#epoch) this.#attachAgain()
    routed.state = RoutedState.waiting
    this.#wait(routed)
    this.advance()
  }

  // StreamKeeperVolume.

  get streams(): Iterable<GatewayStream> {
    return this.#streams.values()
  }

  get self(): number {
    return this.#options.self
  }

  operationsOf(stream: GatewayStream): RoutedOperation[] {
    return [...this.#handles].flatMap(handle => (handle.stream === stream ? [...handle.operations] : []))
  }

  isWanted(stream: GatewayStream): boolean {
    return this.#waiting.some(({ isChange, handle }) => isChange && handle.stream === stream)
  }

  pause(): Promise<void> {
    return new Promise(resolve => void this.#options.timers.after(TRY_AGAIN_MS, resolve))
  }

  /** Certainly not carried out, or not to be taken for it: sent again, before anything new. */
  repeat(routed: RoutedOperation): void {
    routed.state = RoutedState.waiting
    routed.isRepeat = true
    this.#waiting.unshift(routed)
    this.#lookLater()
  }

  end(routed: RoutedOperation, status: BlockStatus, failedAtBytes: number): void {
    const { operation, handle, isRepeat } = routed
    // NBD has no word for it: only the end of its connection tells a client to look for itself.
    if (status === BlockStatus.inDoubt && handle.client.protocol === 'nbd') this.#options.drop(handle.client)
    operation.status = status
    operation.failedAtBytes = failedAtBytes
    if (status === BlockStatus.ok) handle.acknowledged(routed)
    routed.state = RoutedState.ended
    if (routed.requestsOut === 0) this.#complete(routed)
    if (isRepeat) this.#keeper.repeated(handle.stream)
  }

  streamDied(stream: GatewayStream): void {
    if (this.#streams.get(stream.key) === stream) this.#streams.delete(stream.key)
    for (const routed of this.operationsOf(stream)) {
      if (routed.state === RoutedState.inDoubt) this.end(routed, BlockStatus.inDoubt, 0)
      else if (routed.state === RoutedState.waiting) this.abort(routed)
    }
    this.#options.drop(stream.client)
  }

  /** Sends what can be sent now. */
  advance(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const routed of waiting) {
      if (!this.#send(routed)) this.#waiting.push(routed)
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

  /** False: not now. */
  #send(routed: RoutedOperation): boolean {
    const { handle } = routed
    if (!this.#isAttached) return false
    if (routed.isChange && !this.#keeper.lets(routed)) return false
    const route = this.#route!
    if (route.is === 'remote' && handle.remoteNumber <= 0) {
      void this.#openRemote(handle, route)
      return false
    }
    routed.state = RoutedState.sent
    routed.epoch = this.#epoch
    routed.tag = ++this.#lastTag
    routed.stream = routed.isChange ? handle.stream.number : 0
    routed.sequence = routed.isChange ? handle.stream.nextSequence() : 0
    if (route.is === 'local') this.#sendLocal(routed, route)
    else route.link.send(routed.remote(this.uuid, handle.remoteNumber))
    return true
  }

  #sendLocal(routed: RoutedOperation, { service }: Route & { is: 'local' }): void {
    if (routed.isChange) {
      // Alive: the keeper has just let it through, and learns of a death at once.
      routed.ownerStream = service.streams.find(routed.stream)
      routed.ownerStream!.begin(routed.sequence)
    }
    routed.handle.local!.submit(routed.local())
  }

  #wait(routed: RoutedOperation): void {
    this.#waiting.push(routed)
    this.#lookLater()
  }

  /** Its connection or its epoch ended before it was answered. */
  #lose(routed: RoutedOperation): void {
    if (!routed.isChange) {
      if (routed.isCancelled) return this.end(routed, BlockStatus.aborted, 0)
      routed.state = RoutedState.waiting
      this.#wait(routed)
      return this.advance()
    }
    routed.state = RoutedState.inDoubt
    this.#lookLater()
    this.#keeper.doubted(routed.handle.stream)
  }

  /** The owner that it was sent to, in this process, is none any more. */
  #hasLeft(routed: RoutedOperation): boolean {
    const route = this.#route
    return routed.epoch !== this.#epoch || route?.is !== 'local' || route.service.hasEnded
  }

  #complete(routed: RoutedOperation): void {
    const { operation, handle } = routed
    handle.operationEnded(routed)
    if (this.#idle.length < IDLE_OPERATIONS_MAX) this.#idle.push(routed)
    operation.completion.blockDone(operation)
  }

  #detach(): void {
    this.#generation++
    this.#isAttached = false
    this.reservations.routeChanged(null)
    for (const handle of this.#handles) {
      handle.local = null
      handle.remoteNumber = 0
      // Writes that a former owner may never answer: the next one has to hear of them within its window.
      for (const routed of handle.operations) {
        if (routed.state !== RoutedState.sent || routed.current === null || !routed.isChange) continue
        routed.current = null
        routed.state = RoutedState.inDoubt
      }
    }
    this.#keeper.detached()
  }

  #attachAgain(): void {
    const route = this.#route
    if (route === null || !this.#isAttached) return
    this.#detach()
    const { generation } = this
    void this.pause().then(() => {
      if (generation === this.#generation) void this.#attach(route, generation)
    })
  }

  async #attach(route: Route, generation: number): Promise<void> {
    while (generation === this.#generation) {
      try {
        const state = await route.port.attach()
        if (generation !== this.#generation) return
        return this.#attached(route, state)
      } catch {
        await this.pause()
      }
    }
  }

  #attached(route: Route, state: OwnerState): void {
    this.#isAttached = true
    this.#epoch = state.epoch
    this.reservations.routeChanged(route.is === 'local' ? route.service.volume.reservations : null)
    for (const handle of this.#handles) this.#openLocal(handle)
    this.#ownerSays(state)
    this.#keeper.attached()
    this.advance()
  }

  #openLocal(handle: RoutedHandle): void {
    const service = this.localService
    if (service !== null && handle.local === null) handle.local = service.volume.open(handle.client)
  }

  async #openRemote(handle: RoutedHandle, route: Route): Promise<void> {
    if (handle.remoteNumber < 0) return
    const { generation } = this
    handle.remoteNumber = -1
    try {
      const number = await route.port.openClient(handle.client)
      if (generation !== this.#generation) return
      handle.remoteNumber = number
      this.advance()
    } catch {
      if (generation !== this.#generation) return
      await this.pause()
      if (generation !== this.#generation) return
      handle.remoteNumber = 0
      this.advance()
    }
  }

  #ownerSays(state: OwnerState): void {
    this.#become(state.sizeBytes, state.readOnly)
    this.reservations.become(state)
    this.sanitization.become(state)
    const isLoss = this.#lossGeneration !== null && state.lossGeneration > this.#lossGeneration
    this.#lossGeneration = state.lossGeneration
    if (isLoss) this.#writesLost()
  }

  /** Acknowledged writes may be gone: whoever had some that were not flushed has to know. PROTOCOL rule 16. */
  #writesLost(): void {
    for (const handle of this.#handles) {
      if (!handle.hasUnflushed) continue
      handle.hasLostWrites = true
      if (handle.client.protocol === 'nbd') this.#options.drop(handle.client)
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

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#options.timers.after(LOOK_MS, () => this.#look())
  }

  /** Ends what has waited for an owner too long. */
  #look(): void {
    this.#isLooking = false
    const { timers, limits } = this.#options
    const beforeMs = timers.bootMs() - limits.ownerWaitMs
    let isAnyLeft = false
    for (const handle of this.#handles) {
      for (const routed of [...handle.operations]) {
        const isIdle = routed.state === RoutedState.waiting || routed.state === RoutedState.inDoubt
        if (!isIdle) continue
        if (routed.sinceMs > beforeMs) isAnyLeft = true
        else this.#giveUp(routed)
      }
    }
    if (isAnyLeft) this.#lookLater()
  }

  #giveUp(routed: RoutedOperation): void {
    this.#waiting = this.#waiting.filter(other => other !== routed)
    const isUndecided = routed.state === RoutedState.inDoubt || routed.isRepeat
    this.end(routed, isUndecided ? BlockStatus.inDoubt : BlockStatus.unavailable, 0)
  }
}
