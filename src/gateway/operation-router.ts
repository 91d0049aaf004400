import { BlockKind, type BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { invariant } from '../lib/invariant.ts'
import { type PeerRequest, PeerStatus } from '../replication/peer-network.ts'
import type { Timers } from '../replication/timers.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import { StreamState } from './gateway-stream.ts'
import { type GatewayLimits, LOOK_MS } from './limits.ts'
import type { OwnerRoute } from './owner-route.ts'
import type { Route } from './route.ts'
import type { RoutedHandle } from './routed-handle.ts'
import { RoutedOperation, type RoutedOwner, RoutedState } from './routed-operation.ts'
import type { StreamKeeper } from './stream-keeper.ts'

/** Operations kept for the next use. */
const IDLE_OPERATIONS_MAX = 1024

export interface OperationRouterOptions {
  /** What peers call the volume. */
  readonly uuid: string
  readonly timers: Timers
  readonly limits: GatewayLimits
  readonly owner: OwnerRoute
  readonly handles: ReadonlySet<RoutedHandle>
  readonly keeper: () => StreamKeeper
  readonly drop: (client: ClientIdentity) => void
}

/** The operations of one volume's clients on their way to the owner: sent, kept while there is none, answered once. */
export class OperationRouter implements RoutedOwner {
  readonly #options: OperationRouterOptions
  readonly #owner: OwnerRoute
  readonly #idle: RoutedOperation[] = []
  /** In the order of their arrival, but repeats go first. */
  #waiting: RoutedOperation[] = []
  #isLooking = false
  #lastTag = 0

  constructor(options: OperationRouterOptions) {
    this.#options = options
    this.#owner = options.owner
  }

  get waiting(): readonly RoutedOperation[] {
    return this.#waiting
  }

  submit(handle: RoutedHandle, operation: BlockOperation): void {
    const routed = this.#idle.pop() ?? new RoutedOperation(this)
    routed.prepare(operation, handle)
    operation.status = BlockStatus.ok
    handle.operations.add(routed)
    const refusal = refusalOf(handle, operation)
    if (refusal !== BlockStatus.ok) this.#endLater(routed, refusal)
    else if (!this.#send(routed)) this.#wait(routed)
  }

  abort(routed: RoutedOperation): void {
    routed.isCancelled = true
    if (routed.state === RoutedState.waiting) {
      this.#waiting = this.#waiting.filter(other => other !== routed)
      this.#endLater(routed, BlockStatus.aborted)
    } else if (routed.state === RoutedState.sent) {
      const { route } = this.#owner
      routed.handle.local?.abort(routed.inner)
      if (route?.is === 'remote') route.port.abort(routed.tag).catch(() => {})
    }
  }

  /** Sends what can be sent now. */
  advance(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const routed of waiting) {
      if (!this.#send(routed)) this.#waiting.push(routed)
    }
  }

  /** Sent again, before anything new. */
  repeat(routed: RoutedOperation): void {
    routed.state = RoutedState.waiting
    routed.isRepeat = true
    this.#waiting.unshift(routed)
    this.#lookLater()
  }

  end(routed: RoutedOperation, status: BlockStatus, failedAtBytes: number): void {
    const { operation, handle, isRepeat } = routed
    invariant(routed.state !== RoutedState.ended, 'an operation ends once')
    const said = routed.mayBeBegun && REFUSALS.has(status) ? BlockStatus.inDoubt : status
    // NBD has no word for it: only the end of its connection tells a client to look for itself.
    const mustLook = said === BlockStatus.inDoubt && handle.client.protocol === 'nbd' && !handle.isClosed
    if (mustLook) this.#options.drop(handle.client)
    operation.status = said
    operation.failedAtBytes = failedAtBytes
    if (status === BlockStatus.ok) handle.acknowledged(routed)
    routed.state = RoutedState.ended
    if (routed.requestsOut === 0) this.#complete(routed)
    if (isRepeat) this.#options.keeper().repeated(handle.stream)
  }

  /** Nothing is known of the owner any more: the next one has to hear, within its window, of what may be done. */
  detached(): void {
    for (const handle of this.#options.handles) {
      for (const routed of handle.operations) {
        if (routed.state !== RoutedState.sent || routed.current === null || !routed.isChange) continue
        routed.current = null
        routed.state = RoutedState.inDoubt
        this.#note(routed)
      }
    }
  }

  // RoutedOwner.

  localEnded(routed: RoutedOperation): void {
    const { status, failedAtBytes } = routed.inner
    routed.ownerStream?.leave()
    routed.ownerStream = null
    const isRefused =
      status === BlockStatus.unavailable || (status === BlockStatus.aborted && !routed.isCancelled)
    if (isRefused && !routed.handle.isClosed && this.#hasLeft(routed)) this.#lose(routed)
    else this.end(routed, meaningOf(routed, status), failedAtBytes)
  }

  replied(routed: RoutedOperation, request: PeerRequest): void {
    routed.requestsOut--
    if (request !== routed.current) {
      if (routed.state === RoutedState.ended && routed.requestsOut === 0) this.#complete(routed)
      return
    }
    routed.current = null
    const { status, failedAtBytes } = request
    if (status < PeerStatus.lost) {
      return this.end(routed, meaningOf(routed, status as BlockStatus), failedAtBytes)
    }
    if (status === PeerStatus.lost) return this.#lose(routed)
    if (status === PeerStatus.deadStream) {
      this.#options.keeper().killed(routed.handle.stream.key, routed.stream)
      return this.end(routed, BlockStatus.unavailable, 0)
    }
    // Nothing was done: the owner is another one, or does not know the client any more.
    if (status === PeerStatus.refused) routed.handle.remoteNumber = 0
    else if (routed.epoch === this.#owner.epoch) this.#owner.attachAgain()
    routed.state = RoutedState.waiting
    this.#wait(routed)
    this.advance()
  }

  /** False: not now. */
  #send(routed: RoutedOperation): boolean {
    const { handle, isChange } = routed
    const { route } = this.#owner
    if (route === null || (isChange && !this.#options.keeper().lets(routed))) return false
    if (route.is === 'remote' && handle.remoteNumber <= 0) {
      void this.#openRemote(handle, route)
      return false
    }
    routed.state = RoutedState.sent
    routed.epoch = this.#owner.epoch
    routed.tag = ++this.#lastTag
    routed.stream = isChange ? handle.stream.number : 0
    routed.sequence = isChange ? handle.stream.nextSequence() : 0
    if (route.is === 'remote') {
      route.link.send(routed.remote(this.#options.uuid, handle.remoteNumber))
      return true
    }
    // Alive: the keeper has just let it through, and learns of a death at once.
    if (isChange) routed.ownerStream = route.service.streams.find(routed.stream)
    routed.ownerStream?.enter()
    handle.local!.submit(routed.local())
    return true
  }

  #wait(routed: RoutedOperation): void {
    this.#waiting.push(routed)
    this.#note(routed)
  }

  /** It has to wait: from now on its time is counted. */
  #note(routed: RoutedOperation): void {
    if (routed.waitsSinceMs === 0) routed.waitsSinceMs = this.#options.timers.bootMs()
    this.#lookLater()
  }

  /** Its connection or its epoch ended before it was answered. */
  #lose(routed: RoutedOperation): void {
    if (routed.isChange) {
      routed.state = RoutedState.inDoubt
      this.#note(routed)
      return this.#options.keeper().doubted(routed.handle.stream)
    }
    if (routed.isCancelled) return this.end(routed, BlockStatus.aborted, 0)
    routed.state = RoutedState.waiting
    this.#wait(routed)
    this.advance()
  }

  /** The owner that it was sent to, in this process, is none any more. */
  #hasLeft(routed: RoutedOperation): boolean {
    const { local, epoch } = this.#owner
    return routed.epoch !== epoch || local === null || local.hasEnded
  }

  #endLater(routed: RoutedOperation, status: BlockStatus): void {
    routed.state = RoutedState.ending
    void Promise.resolve().then(() => this.end(routed, status, 0))
  }

  #complete(routed: RoutedOperation): void {
    const { operation, handle } = routed
    handle.operationEnded(routed)
    if (this.#idle.length < IDLE_OPERATIONS_MAX) this.#idle.push(routed)
    operation.completion.blockDone(operation)
  }

  async #openRemote(handle: RoutedHandle, route: Route): Promise<void> {
    if (handle.remoteNumber < 0) return
    const { generation } = this.#owner
    handle.remoteNumber = -1
    const number = await route.port.openClient(handle.client).catch(() => this.#owner.pause().then(() => 0))
    if (generation !== this.#owner.generation) return
    handle.remoteNumber = number
    this.advance()
  }

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#options.timers.after(LOOK_MS, () => this.#look())
  }

  /** Ends what has waited for an owner too long. */
  #look(): void {
    this.#isLooking = false
    const { timers, limits, handles } = this.#options
    const beforeMs = timers.bootMs() - limits.ownerWaitMs
    let isAnyLeft = false
    for (const handle of handles) {
      for (const routed of [...handle.operations]) {
        const waits = routed.state === RoutedState.waiting || routed.state === RoutedState.inDoubt
        if (!waits) continue
        if (routed.waitsSinceMs > beforeMs) isAnyLeft = true
        else this.giveUp(routed)
      }
    }
    if (isAnyLeft) this.#lookLater()
  }

  giveUp(routed: RoutedOperation): void {
    this.#waiting = this.#waiting.filter(other => other !== routed)
    const isUndecided = routed.state === RoutedState.inDoubt || routed.isRepeat
    this.end(routed, isUndecided ? BlockStatus.inDoubt : BlockStatus.unavailable, 0)
  }
}

/** They say that nothing was touched: not of what a former owner may have begun with. */
const REFUSALS: ReadonlySet<BlockStatus> = new Set([
  BlockStatus.aborted,
  BlockStatus.reservationConflict,
  BlockStatus.writeProtected,
  BlockStatus.noSpace,
])

/** Why an operation is not even tried. */
function refusalOf(handle: RoutedHandle, operation: BlockOperation): BlockStatus {
  if (handle.isClosed || handle.stream.state === StreamState.dead) return BlockStatus.unavailable
  return lossOf(handle, operation)
}

/** Whether this is the flush that tells of writes that are gone; it tells once. */
function lossOf(handle: RoutedHandle, operation: BlockOperation): BlockStatus {
  const asksForFlush = operation.kind === BlockKind.flush && !operation.isForRead
  if (!asksForFlush || !handle.hasLostWrites) return BlockStatus.ok
  handle.hasLostWrites = false
  return BlockStatus.writesLost
}

/** What the owner's answer means to the client. */
function meaningOf({ operation, handle }: RoutedOperation, status: BlockStatus): BlockStatus {
  // A flush that waited for the next owner has not covered what was lost with the last.
  if (status === BlockStatus.ok) return lossOf(handle, operation)
  // The owner gave up on it, perhaps half way: a COMPARE AND WRITE that is told to come again would meet itself.
  const isGivenUp = status === BlockStatus.unavailable && operation.kind === BlockKind.compareAndWrite
  return isGivenUp ? BlockStatus.inDoubt : status
}
