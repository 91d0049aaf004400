import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { HoldfastError } from '../../errors/holdfast-error.ts'
import {
  asReplicaOrder,
  fenceWithRuns,
  type RenewAnswer,
  type ReplicaOrder,
  RequestFlag,
} from '../messages.ts'
import { forgottenUntilMs } from '../owner/grants.ts'
import {
  type IncomingRequest,
  type PeerIdentity,
  type PeerRequestHandler,
  PeerRequestKind,
  PeerStatus,
} from '../peer-network.ts'
import type { ReplicaStore, ReplicaVolume } from '../replica-store.ts'
import type { ReplicationLog } from '../replication.ts'
import type { Timers } from '../timers.ts'
import { type SenderConnection, SenderConnections } from './connections.ts'
import { DONE, executeOrder, type OrderOutcome, refused } from './replica-orders.ts'
import { ReplicaTask } from './replica-task.ts'
import { VolumeReplica } from './volume-replica.ts'

/** Finished tasks kept for the next requests. */
const IDLE_TASKS_MAX = 256

const UNKNOWN_VOLUME: OrderOutcome = { status: PeerStatus.unknownVolume, body: null }

export interface ReplicaCounters {
  fencesAnswered: number
  staleRefused: number
}

/** The replicas of one brick: what owners, here and behind links, ask of it. */
export class Replica implements PeerRequestHandler {
  readonly counters: ReplicaCounters = { fencesAnswered: 0, staleRefused: 0 }
  readonly #self: PeerIdentity
  readonly #store: ReplicaStore
  readonly #timers: Timers
  readonly #log: ReplicationLog | null
  readonly #startedAtMs: number
  readonly #volumes = new Map<string, VolumeReplica>()
  readonly #connections = new SenderConnections()
  readonly #idleTasks: ReplicaTask[] = []
  readonly #foundBad: (volumeUuid: string, peerNumber: number, offsetBytes: number) => void

  /** `foundBad`: a member tells the owner, who is in this process, of a block to be repaired. */
  constructor(
    self: PeerIdentity,
    store: ReplicaStore,
    timers: Timers,
    foundBad: (volumeUuid: string, peerNumber: number, offsetBytes: number) => void,
    log: ReplicationLog | null = null,
  ) {
    this.#log = log
    this.#self = self
    this.#foundBad = foundBad
    this.#store = store
    this.#timers = timers
    this.#startedAtMs = timers.bootMs()
  }

  /** null without a descriptor: the answer is UNKNOWN, never zeroes. PROTOCOL rule 1. */
  volume(uuid: string): VolumeReplica | null {
    const known = this.#volumes.get(uuid)
    if (known !== undefined) return known
    const volume = this.#store.volume(uuid)
    return volume === null ? null : this.#keep(volume, false)
  }

  async connected(from: PeerIdentity, connection: number): Promise<void> {
    if (from.clusterId !== this.#self.clusterId) {
      throw new HoldfastError('ERR_PEER_REFUSED', `peer ${from.peerId} belongs to another cluster`)
    }
    const before = this.#connections.open(from, connection)
    if (before === 'stale') {
      throw new HoldfastError('ERR_PEER_REFUSED', `peer ${from.peerId} has a newer connection`)
    }
    await before?.drained()
  }

  disconnected(): void {}

  received(request: IncomingRequest): void {
    const connection = this.#connections.current(request.from, request.connection)
    if (connection === null) return request.reply(PeerStatus.lost)
    if (request.kind === PeerRequestKind.control) return this.#control(request, connection)
    const replica = this.volume(request.volume)
    if (replica === null) return request.reply(PeerStatus.unknownVolume)
    const refusal = replica.admit(request.epoch, request.setVersion)
    if (refusal !== BlockStatus.ok) {
      this.counters.staleRefused++
      return request.reply(refusal)
    }
    this.#carryOut(request, connection, replica)
  }

  /** An order by the owner in this process, as one that came by a link. Never rejects. */
  async order(
    uuid: string,
    epoch: number,
    setVersion: number,
    order: ReplicaOrder,
    connection: SenderConnection | null = null,
  ): Promise<OrderOutcome> {
    try {
      return await this.#execute(uuid, epoch, setVersion, order, connection)
    } catch (error) {
      return refused(error)
    }
  }

  #carryOut(request: IncomingRequest, connection: SenderConnection, replica: VolumeReplica): void {
    const { volume } = replica
    const { offsetBytes, lengthBytes, flags } = request
    switch (request.kind) {
      case PeerRequestKind.read:
        return this.#read(request, connection, replica)
      case PeerRequestKind.write:
        return this.#write(request, connection, replica)
      case PeerRequestKind.trim:
      case PeerRequestKind.zero: {
        const kind = request.kind === PeerRequestKind.trim ? BlockKind.trim : BlockKind.zero
        noteRequest(request, replica, kind)
        return this.#begin(request, connection, replica).submit(kind)
      }
      case PeerRequestKind.flush:
        return this.#begin(request, connection, replica).submit(BlockKind.flush)
      case PeerRequestKind.reserve:
        return this.#begin(request, connection, replica).settle(volume.reserve(offsetBytes, lengthBytes))
      case PeerRequestKind.copyIn: {
        const { payload, payloadAt, stamp } = request
        const task = this.#begin(request, connection, replica)
        if ((flags & RequestFlag.atomic) !== 0) {
          replica.keepWhole({ offsetBytes, lengthBytes })
          return task.submit(BlockKind.writeAtomic)
        }
        if ((flags & RequestFlag.absent) !== 0) {
          return task.settle(volume.trimIn(offsetBytes, lengthBytes, stamp))
        }
        if ((flags & RequestFlag.repair) !== 0) {
          return task.settle(volume.repair(offsetBytes, lengthBytes, request.payload, request.payloadAt))
        }
        return task.settle(volume.copyIn(offsetBytes, lengthBytes, payload, payloadAt, stamp))
      }
      default:
        return request.reply(PeerStatus.refused)
    }
  }

  #read(request: IncomingRequest, connection: SenderConnection, replica: VolumeReplica): void {
    const { offsetBytes, lengthBytes } = request
    const { buffer, at } = request.reserveReply(lengthBytes)
    const status = replica.volume.readNow(offsetBytes, lengthBytes, buffer, at)
    if (status === BlockStatus.ok) {
      return request.reply(status, { data: buffer, dataAt: at, dataLengthBytes: lengthBytes })
    }
    if (status !== BlockStatus.wouldBlock) {
      return request.reply(status, { failedAtBytes: replica.volume.failedAtBytes })
    }
    this.#begin(request, connection, replica).submitRead(buffer, at)
  }

  #write(request: IncomingRequest, connection: SenderConnection, replica: VolumeReplica): void {
    const { offsetBytes, lengthBytes, flags, payload, payloadAt, blockChecksums } = request
    const isAtomic = (flags & RequestFlag.atomic) !== 0
    noteRequest(request, replica, isAtomic ? BlockKind.writeAtomic : BlockKind.write)
    if (isAtomic) {
      return this.#begin(request, connection, replica).submit(BlockKind.writeAtomic)
    }
    if ((flags & RequestFlag.fua) === 0) {
      const status = replica.volume.writeNow(offsetBytes, lengthBytes, payload, payloadAt, blockChecksums)
      if (status !== BlockStatus.wouldBlock) return request.reply(status)
    }
    this.#begin(request, connection, replica).submit(BlockKind.write)
  }

  #begin(request: IncomingRequest, connection: SenderConnection, replica: VolumeReplica): ReplicaTask {
    const task = this.#idleTasks.pop() ?? new ReplicaTask(done => this.#ended(done))
    task.begin(request, connection, replica)
    return task
  }

  #ended(task: ReplicaTask): void {
    if (this.#idleTasks.length < IDLE_TASKS_MAX) this.#idleTasks.push(task)
  }

  #control(request: IncomingRequest, connection: SenderConnection): void {
    const order = asReplicaOrder(request.body)
    if (order === null) {
      const error = new HoldfastError('ERR_ARGUMENT_INVALID', 'no replica knows this order')
      return request.reply(PeerStatus.refused, { body: refused(error).body })
    }
    request.keep()
    const { volume, epoch, setVersion } = request
    void this.order(volume, epoch, setVersion, order, connection).then(({ status, body }) => {
      try {
        request.reply(status, { body })
      } catch (err) {
        // It does not fit into a frame: whoever asked hears of it, and the process goes on.
        this.#log?.error({ volume, order: order.what, err }, 'an order could not be answered')
        const error = new HoldfastError('ERR_INTERNAL', 'the answer is too long', { cause: err })
        request.reply(PeerStatus.refused, { body: refused(error).body })
      }
    })
  }

  async #execute(
    uuid: string,
    epoch: number,
    setVersion: number,
    order: ReplicaOrder,
    connection: SenderConnection | null,
  ): Promise<OrderOutcome> {
    switch (order.what) {
      case 'renew':
        return this.#renew(order)
      case 'foundBad':
        this.#foundBad(uuid, order.peer, order.offsetBytes)
        return DONE
      case 'createVolume':
        return this.#create(uuid, order.sizeBytes, epoch, setVersion)
      case 'growVolume':
        if (this.#store.volume(uuid) === null) return UNKNOWN_VOLUME
        await this.#store.growVolume(uuid, order.sizeBytes)
        return DONE
      case 'deleteVolume':
        this.#volumes.delete(uuid)
        await this.#store.deleteVolume(uuid)
        return DONE
      default:
    }
    const replica = this.volume(uuid)
    if (replica === null) return UNKNOWN_VOLUME
    switch (order.what) {
      case 'fence':
        return this.#fence(replica, epoch, setVersion, order, connection)
      case 'release':
        replica.release(epoch)
        return DONE
      case 'describe': {
        const { setVersion: known } = replica.volume.descriptor
        return { status: BlockStatus.ok, body: { epoch: replica.epoch, setVersion: known } }
      }
      case 'lapsed':
        return { status: BlockStatus.ok, body: { lapsed: replica.lapsed(epoch) } }
      default:
    }
    const refusal = replica.admit(epoch, setVersion)
    if (refusal !== BlockStatus.ok) return { status: refusal, body: null }
    replica.begun()
    connection?.begun()
    try {
      return await executeOrder(replica, epoch, setVersion, order)
    } finally {
      connection?.ended()
      replica.ended()
    }
  }

  #renew({ volumes }: ReplicaOrder & { what: 'renew' }): OrderOutcome {
    const refusedVolumes = volumes
      .filter(({ uuid, epoch }) => this.volume(uuid)?.renew(epoch) !== true)
      .map(({ uuid }) => ({ uuid, epoch: this.volume(uuid)?.epoch ?? 0 }))
    const answer: RenewAnswer = { refused: refusedVolumes }
    const activeSegments = this.#store.activeBeyondTarget()
    return { status: BlockStatus.ok, body: activeSegments === 0 ? answer : { ...answer, activeSegments } }
  }

  async #create(uuid: string, sizeBytes: number, epoch: number, setVersion: number): Promise<OrderOutcome> {
    const before = this.#store.volume(uuid)
    if (before !== null) {
      if (before.sizeBytes < sizeBytes) await this.#store.growVolume(uuid, sizeBytes)
      return DONE
    }
    const volume = await this.#store.createVolume({ uuid, sizeBytes, epoch, setVersion })
    if (!this.#volumes.has(uuid)) this.#keep(volume, true)
    return DONE
  }

  async #fence(
    replica: VolumeReplica,
    epoch: number,
    setVersion: number,
    order: ReplicaOrder & { what: 'fence' },
    connection: SenderConnection | null,
  ): Promise<OrderOutcome> {
    if (this.#store.failure !== null) return { status: BlockStatus.ioError, body: null }
    const { uuid, sizeBytes } = replica.volume
    if (sizeBytes < order.sizeBytes) await this.#store.growVolume(uuid, order.sizeBytes)
    const sender = connection?.incarnation ?? this.#self.incarnation
    const answer = await replica.fence(epoch, setVersion, order.generation, order.opening === true, sender)
    if (typeof answer === 'number') return { status: answer, body: { epoch: replica.epoch } }
    this.counters.fencesAnswered++
    return { status: BlockStatus.ok, body: order.runs === true ? fenceWithRuns(answer) : answer }
  }

  #keep(volume: ReplicaVolume, fresh: boolean): VolumeReplica {
    const replica = new VolumeReplica({
      volume,
      store: this.#store,
      timers: this.#timers,
      forgottenUntilMs: forgottenUntilMs(this.#startedAtMs),
      fresh,
    })
    this.#volumes.set(volume.uuid, replica)
    return replica
  }
}

function noteRequest(request: IncomingRequest, replica: VolumeReplica, kind: BlockKind): void {
  const { operation, watermark, offsetBytes, lengthBytes, stream, sequence } = request
  replica.note(operation, watermark, kind, offsetBytes, lengthBytes, stream, sequence)
}
