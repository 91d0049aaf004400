import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { RequestFlag } from '../messages.ts'
import { type IncomingRequest, NO_PAYLOAD, PeerRequestKind } from '../peer-network.ts'
import type { SenderConnection } from './connections.ts'
import type { VolumeReplica } from './volume-replica.ts'

/** A request of another daemon that the brick could not carry out in place. Pooled. */
export class ReplicaTask {
  readonly #operation = new BlockOperation(this)
  readonly #done: (task: ReplicaTask) => void
  #request: IncomingRequest | null = null
  #connection: SenderConnection | null = null
  #replica: VolumeReplica | null = null
  readonly #answer = { data: NO_PAYLOAD as Buffer, dataAt: 0, dataLengthBytes: 0, failedAtBytes: 0 }

  constructor(done: (task: ReplicaTask) => void) {
    this.#done = done
  }

  /** Counts as in flight, at the volume and at the connection, until it has replied. */
  begin(request: IncomingRequest, connection: SenderConnection, replica: VolumeReplica): void {
    this.#request = request
    this.#connection = connection
    this.#replica = replica
    request.keep()
    connection.begun()
    replica.begun()
  }

  submit(kind: BlockKind): void {
    const request = this.#request!
    const operation = this.#operation
    operation.kind = kind
    operation.offsetBytes = request.offsetBytes
    operation.lengthBytes = request.lengthBytes
    operation.data = request.payload
    operation.dataAt = request.payloadAt
    operation.fua = (request.flags & RequestFlag.fua) !== 0
    operation.status = BlockStatus.ok
    this.#replica!.volume.submit(operation)
  }

  /** Reads into the reply's own room. */
  submitRead(into: Buffer, at: number): void {
    const request = this.#request!
    const operation = this.#operation
    operation.kind = BlockKind.read
    operation.offsetBytes = request.offsetBytes
    operation.lengthBytes = request.lengthBytes
    operation.data = into
    operation.dataAt = at
    operation.fua = false
    operation.status = BlockStatus.ok
    this.#replica!.volume.submit(operation)
  }

  /** A failure of the promise is the brick's own, and sticky there. */
  settle(outcome: Promise<number>): void {
    outcome.then(
      status => this.#end(status as BlockStatus, 0),
      () => this.#end(BlockStatus.ioError, 0),
    )
  }

  blockDone(operation: BlockOperation): void {
    this.#end(operation.status, operation.failedAtBytes)
  }

  #end(status: BlockStatus, failedAtBytes: number): void {
    const request = this.#request!
    const isRead = request.kind === PeerRequestKind.read && status === BlockStatus.ok
    const answer = this.#answer
    answer.data = isRead ? this.#operation.data : NO_PAYLOAD
    answer.dataAt = isRead ? this.#operation.dataAt : 0
    answer.dataLengthBytes = isRead ? request.lengthBytes : 0
    answer.failedAtBytes = failedAtBytes
    // A fence that waits for this must find the reply gone: whoever counts it sees it applied.
    request.reply(status, answer)
    this.#connection!.ended()
    this.#replica!.ended()
    this.#request = null
    this.#connection = null
    this.#replica = null
    answer.data = NO_PAYLOAD
    this.#operation.data = NO_PAYLOAD
    this.#done(this)
  }
}
