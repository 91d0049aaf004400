import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { NO_PAYLOAD, PeerRequest, PeerRequestKind } from '../replication/peer-network.ts'
import { changes } from './forward-task.ts'
import { ForwardFlag } from './messages.ts'
import type { OwnerStream } from './owner-stream.ts'
import type { RoutedHandle } from './routed-handle.ts'

export const RoutedState = {
  /** Certainly not carried out. */
  waiting: 0,
  /** At the owner. */
  sent: 1,
  /** It was sent, and whether it was carried out is unknown. */
  inDoubt: 2,
  /** How it ended is known; a former owner may still hold its buffers. */
  ended: 3,
  /** It ends when the present turn of the event loop does. */
  ending: 4,
} as const
export type RoutedState = (typeof RoutedState)[keyof typeof RoutedState]

export interface RoutedOwner {
  localEnded(routed: RoutedOperation): void
  replied(routed: RoutedOperation, request: PeerRequest): void
}

/** A client's operation on its way to whoever owns the volume. Pooled. */
export class RoutedOperation {
  operation!: BlockOperation
  handle!: RoutedHandle
  state: RoutedState = RoutedState.waiting
  isChange = false
  isCancelled = false
  /** It was in doubt: goes before everything new of its stream. */
  isRepeat = false
  /** Some members may have it, of a former owner: it may come to count, whatever becomes of its repetition. */
  mayBeBegun = false
  /** A COMPARE AND WRITE whose compare has succeeded: only the write half is repeated. */
  isRedo = false
  /** Under which it was sent last. */
  stream = 0
  sequence = 0
  epoch = 0
  /** This gateway's name for it, at the owner. */
  tag = 0
  /** When it first had to wait; 0: it never had to. */
  waitsSinceMs = 0
  /** Requests that the network has not given back. */
  requestsOut = 0
  /** The one of them whose reply counts: that of the present owner. */
  current: PeerRequest | null = null
  /** At the owner in this process, while it is there. */
  ownerStream: OwnerStream | null = null
  /** Of a flush: what the clients of its stream had been told to be written when it came. */
  coversWrites = 0
  readonly inner: BlockOperation
  readonly #owner: RoutedOwner
  #request: PeerRequest

  constructor(owner: RoutedOwner) {
    this.#owner = owner
    this.inner = new BlockOperation({ blockDone: () => owner.localEnded(this) })
    this.#request = this.#newRequest()
  }

  prepare(operation: BlockOperation, handle: RoutedHandle): void {
    this.operation = operation
    this.handle = handle
    this.state = RoutedState.waiting
    this.isChange = changes(operation.kind)
    this.isCancelled = this.isRepeat = this.mayBeBegun = this.isRedo = false
    this.stream = this.sequence = this.epoch = 0
    this.waitsSinceMs = 0
    this.coversWrites = handle.stream.writes
  }

  /** The operation as the volume in this process takes it. */
  local(): BlockOperation {
    const { operation, inner, isRedo } = this
    inner.kind = isRedo ? BlockKind.write : operation.kind
    inner.offsetBytes = operation.offsetBytes
    inner.lengthBytes = operation.lengthBytes
    inner.data = operation.data
    inner.dataAt = operation.dataAt + (isRedo ? operation.lengthBytes : 0)
    inner.fua = operation.fua
    inner.stream = this.stream
    inner.sequence = this.sequence
    inner.failedAtBytes = 0
    return inner
  }

  /** The operation as the owner in another daemon gets it. */
  remote(volume: string, client: number): PeerRequest {
    const { operation, isRedo } = this
    const kind = isRedo ? BlockKind.write : operation.kind
    // One that a former owner still holds is left to it.
    if (this.requestsOut > 0) this.#request = this.#newRequest()
    const request = this.#request
    request.volume = volume
    request.epoch = this.epoch
    request.operation = client
    request.watermark = this.tag
    request.stream = this.stream
    request.sequence = this.sequence
    request.flags = kind | (operation.fua ? ForwardFlag.fua : 0)
    request.offsetBytes = operation.offsetBytes
    request.lengthBytes = operation.lengthBytes
    const reads = kind === BlockKind.read
    const payloads = kind === BlockKind.compareAndWrite ? 2 : reads || !carriesData(kind) ? 0 : 1
    request.payload = payloads === 0 ? NO_PAYLOAD : operation.data
    request.payloadAt = operation.dataAt + (isRedo ? operation.lengthBytes : 0)
    request.payloadLengthBytes = payloads * operation.lengthBytes
    request.into = reads ? operation.data : NO_PAYLOAD
    request.intoAt = operation.dataAt
    request.intoLengthBytes = reads ? operation.lengthBytes : 0
    this.requestsOut++
    this.current = request
    return request
  }

  #newRequest(): PeerRequest {
    const request: PeerRequest = new PeerRequest({ replied: () => this.#owner.replied(this, request) })
    request.kind = PeerRequestKind.forward
    return request
  }
}

function carriesData(kind: BlockKind): boolean {
  return kind !== BlockKind.trim && kind !== BlockKind.zero && kind !== BlockKind.flush
}
