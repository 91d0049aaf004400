import { BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { type IncomingRequest, NO_PAYLOAD, type PeerAnswer, PeerStatus } from '../replication/peer-network.ts'
import type { ClientIdentity } from '../volume/client-identity.ts'
import type { OwnedVolumeHandle } from '../volume/volume-handle.ts'
import { ForwardFlag } from './messages.ts'
import type { OwnedService } from './owned-service.ts'
import type { OwnerStream } from './owner-stream.ts'
import type { ServedGateway } from './served-gateway.ts'

/** Longest operation without a payload (UNMAP, WRITE SAME) that one request may be. */
const RANGE_BYTES_MAX = 2 ** 40
const READ_BYTES_MAX = 2 ** 25

/** Bytes of payload per byte of range, by kind. */
const PAYLOADS: Record<BlockKind, 0 | 1 | 2> = {
  [BlockKind.read]: 0,
  [BlockKind.write]: 1,
  [BlockKind.trim]: 0,
  [BlockKind.zero]: 0,
  [BlockKind.flush]: 0,
  [BlockKind.compareAndWrite]: 2,
  [BlockKind.verify]: 1,
  [BlockKind.orWrite]: 1,
  [BlockKind.writeAtomic]: 1,
}

/** Whether an operation of this kind changes the volume: only a live stream may send it. */
export function changes(kind: BlockKind): boolean {
  return kind !== BlockKind.read && kind !== BlockKind.verify && kind !== BlockKind.flush
}

/** A client's operation that came by another gateway, on its way through the owner. Pooled. */
export class ForwardTask {
  readonly #operation = new BlockOperation(this)
  readonly #recycle: (task: ForwardTask) => void
  readonly #answer: { data?: Buffer; dataAt?: number; dataLengthBytes?: number; failedAtBytes: number } = {
    failedAtBytes: 0,
  }
  #request!: IncomingRequest
  #service!: OwnedService
  #gateway!: ServedGateway
  #handle!: OwnedVolumeHandle
  #stream: OwnerStream | null = null
  #sequence = 0
  #waiting: (() => void)[] = []
  client!: ClientIdentity
  /** The gateway's name for the operation. */
  tag = 0

  constructor(recycle: (task: ForwardTask) => void) {
    this.#recycle = recycle
  }

  /** Carries the request out at the volume's owner and answers it, now or later. */
  run(request: IncomingRequest, service: OwnedService): void {
    this.#request = request
    const kind = (request.flags & ForwardFlag.kindMask) as BlockKind
    const gateway = service.gateway(request.from.peerNumber)
    const client = gateway?.client(request.operation) ?? null
    if (gateway === null || client === null) return this.#refuse(PeerStatus.refused)
    if (!isWellFormed(request, kind, service.volume.blockSizeBytes)) return this.#refuse(BlockStatus.ioError)
    this.#service = service
    this.#gateway = gateway
    this.#handle = client.handle
    this.client = client.identity
    this.#stream = null
    this.tag = request.watermark
    if (changes(kind)) {
      const stream = service.streams.find(request.stream)
      if (stream === null || stream.gateway !== request.from.peerNumber)
        return this.#refuse(PeerStatus.deadStream)
      this.#stream = stream
      this.#sequence = request.sequence
    }
    if (kind === BlockKind.read) return this.#read()
    this.#submit(kind)
  }

  abort(): void {
    this.#handle.abort(this.#operation)
  }

  /** Resolves when it can have no effect any more. */
  whenEnded(): Promise<void> {
    return new Promise(resolve => void this.#waiting.push(resolve))
  }

  blockDone(operation: BlockOperation): void {
    const { status, failedAtBytes } = operation
    this.#stream?.ended(this.#sequence, status, failedAtBytes)
    this.#gateway.ended(this)
    const waiting = this.#waiting
    this.#waiting = []
    this.#end(status, failedAtBytes)
    for (const ended of waiting) ended()
  }

  #read(): void {
    const { offsetBytes, lengthBytes } = this.#request
    const { buffer, at } = this.#request.reserveReply(lengthBytes)
    this.#answer.data = buffer
    this.#answer.dataAt = at
    this.#answer.dataLengthBytes = lengthBytes
    const status = this.#handle.readNow(offsetBytes, lengthBytes, buffer, at)
    if (status !== BlockStatus.wouldBlock) return this.#end(status, this.#handle.failedAtBytes)
    this.#operation.data = buffer
    this.#operation.dataAt = at
    this.#start(BlockKind.read)
  }

  #submit(kind: BlockKind): void {
    const request = this.#request
    if (kind === BlockKind.write && (request.flags & ForwardFlag.fua) === 0) {
      const { offsetBytes, lengthBytes, payload, payloadAt, stream } = request
      this.#stream!.begin(this.#sequence)
      const status = this.#handle.writeNow(
        offsetBytes,
        lengthBytes,
        payload,
        payloadAt,
        stream,
        this.#sequence,
      )
      if (status !== BlockStatus.wouldBlock) {
        this.#stream!.ended(this.#sequence, status, this.#handle.failedAtBytes)
        return this.#end(status, this.#handle.failedAtBytes)
      }
    } else {
      this.#stream?.begin(this.#sequence)
    }
    request.keep()
    this.#operation.data = request.payload
    this.#operation.dataAt = request.payloadAt
    this.#start(kind)
  }

  #start(kind: BlockKind): void {
    const operation = this.#operation
    const { offsetBytes, lengthBytes, flags, stream, sequence } = this.#request
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    operation.fua = (flags & ForwardFlag.fua) !== 0
    operation.stream = this.#stream === null ? 0 : stream
    operation.sequence = this.#stream === null ? 0 : sequence
    operation.failedAtBytes = 0
    this.#gateway.begun(this)
    this.#handle.submit(operation)
  }

  #refuse(status: PeerStatus): void {
    this.#request.reply(status)
    this.#recycle(this)
  }

  #end(status: BlockStatus, failedAtBytes: number): void {
    const answer = this.#answer
    answer.failedAtBytes = failedAtBytes
    if (status !== BlockStatus.ok) delete answer.data
    // Whether an operation that met the end of the epoch was carried out is for the next owner to find out.
    const isCutShort = status === BlockStatus.unavailable && this.#service.hasEnded
    this.#request.reply(isCutShort ? PeerStatus.lost : status, answer as PeerAnswer)
    delete answer.data
    this.#operation.data = NO_PAYLOAD
    this.#recycle(this)
  }
}

function isWellFormed(request: IncomingRequest, kind: BlockKind, blockSizeBytes: number): boolean {
  const { offsetBytes, lengthBytes, payloadLengthBytes } = request
  const payloads = PAYLOADS[kind]
  if (payloads === undefined || payloadLengthBytes !== payloads * lengthBytes) return false
  const isWhole = offsetBytes % blockSizeBytes === 0 && lengthBytes % blockSizeBytes === 0
  return isWhole && lengthBytes <= (kind === BlockKind.read ? READ_BYTES_MAX : RANGE_BYTES_MAX)
}
