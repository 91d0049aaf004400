import { BlockKind } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import type { OperationFate } from '../replication/operation-log.ts'
import { alignDown, alignUp } from '../volume/block-alignment.ts'
import type { StreamKey } from './client-key.ts'
import { type GatewayStream, StreamState } from './gateway-stream.ts'
import type { DoubtfulOperation, Outcome, OwnerPort } from './messages.ts'
import { type RoutedOperation, RoutedState } from './routed-operation.ts'

/** The volume whose streams are kept. */
export interface StreamKeeperVolume {
  readonly streams: Iterable<GatewayStream>
  readonly epoch: number
  readonly generation: number
  readonly port: OwnerPort | null
  /** Whoever had lost its right by this version has no session here any more. */
  readonly rightsVersion: number
  operationsOf(stream: GatewayStream): RoutedOperation[]
  /** A change of it waits. */
  isWanted(stream: GatewayStream): boolean
  repeat(routed: RoutedOperation): void
  end(routed: RoutedOperation, status: BlockStatus, failedAtBytes: number): void
  /** Ends it: whether it was carried out stays unknown. */
  giveUp(routed: RoutedOperation): void
  streamDied(stream: GatewayStream): void
  advance(): void
  /** A short while. */
  pause(): Promise<void>
}

/**
 * Keeps the streams of one volume's clients known to its owner, whoever that is, and finds out what became of
 * operations whose answers were lost. PROTOCOL rules 17 and 18.
 */
export class StreamKeeper {
  readonly #volume: StreamKeeperVolume

  constructor(volume: StreamKeeperVolume) {
    this.#volume = volume
  }

  /** Whether this change may be sent now; sees to it that it may be, later. */
  lets(routed: RoutedOperation): boolean {
    const { stream } = routed.handle
    if (stream.state === StreamState.open) return true
    if (stream.state === StreamState.settling) return routed.isRepeat
    if (stream.state === StreamState.idle) void this.#ask(stream)
    return false
  }

  /** The owner answers: a new one, or the same one by a new connection. */
  attached(): void {
    for (const stream of this.#volume.streams) {
      if (stream.number > 0 || this.#volume.isWanted(stream)) void this.#ask(stream)
    }
  }

  /** Nothing is known of the owner any more. */
  detached(): void {
    for (const stream of this.#volume.streams) {
      if (stream.state !== StreamState.dead) stream.state = StreamState.idle
    }
  }

  /** An operation of the stream has become doubtful. */
  doubted(stream: GatewayStream): void {
    if (stream.state === StreamState.open || stream.state === StreamState.settling) {
      stream.state = StreamState.idle
      void this.#ask(stream)
    }
  }

  /** An operation that was repeated has ended. */
  repeated(stream: GatewayStream): void {
    if (stream.state === StreamState.settling) void this.#settle(stream)
  }

  /** The owner has given the client's writes to another gateway. */
  killed(key: StreamKey, number: number): void {
    for (const stream of this.#volume.streams) {
      if (stream.key === key && stream.number === number) return this.#die(stream)
    }
  }

  #die(stream: GatewayStream): void {
    if (stream.state === StreamState.dead) return
    stream.state = StreamState.dead
    this.#volume.streamDied(stream)
  }

  async #ask(stream: GatewayStream): Promise<void> {
    const { generation, port, epoch } = this.#volume
    if (port === null || stream.state !== StreamState.idle) return
    stream.state = StreamState.asking
    const isCurrent = () => generation === this.#volume.generation && stream.state === StreamState.asking
    while (isCurrent()) {
      try {
        if (stream.number === 0) await this.#register(stream, port, epoch, isCurrent)
        else if (stream.epoch === epoch) await this.#catchUp(stream, port, isCurrent)
        else await this.#resume(stream, port, epoch, isCurrent)
      } catch {
        await this.#volume.pause()
      }
    }
  }

  async #register(
    stream: GatewayStream,
    port: OwnerPort,
    epoch: number,
    isCurrent: () => boolean,
  ): Promise<void> {
    const number = await port.register(stream.key, this.#volume.rightsVersion)
    if (!isCurrent()) return
    stream.registered(number, epoch)
    this.#open(stream)
  }

  /** The same owner, by a new connection: it remembers how operations ended whose answers were lost. */
  async #catchUp(stream: GatewayStream, port: OwnerPort, isCurrent: () => boolean): Promise<void> {
    const doubts = this.#doubts(stream)
    const sequences = doubts.map(({ sequence }) => sequence)
    const outcomes = await port.outcomes(stream.number, sequences)
    if (!isCurrent()) return
    for (let index = doubts.length - 1; index >= 0; index--) {
      const doubt = doubts[index]!
      if (isStill(doubt)) this.#conclude(doubt.routed, outcomes[index]!)
    }
    if (stream.hasSettled) return this.#open(stream)
    stream.state = StreamState.settling
    this.#volume.advance()
    await this.#settle(stream)
  }

  #conclude(routed: RoutedOperation, outcome: Outcome): void {
    if (outcome === 'unknown') return this.#volume.end(routed, BlockStatus.inDoubt, 0)
    if (outcome === null) return this.#repeat(routed)
    const [status, failedAtBytes] = outcome
    this.#volume.end(routed, status as BlockStatus, failedAtBytes)
  }

  /** A new owner: the stream is named to it, and what may or may not have been carried out is carried out now. */
  async #resume(
    stream: GatewayStream,
    port: OwnerPort,
    epoch: number,
    isCurrent: () => boolean,
  ): Promise<void> {
    const { key, number } = stream
    // What a former owner in this process still has ends soon: it refuses already.
    while (isCurrent() && this.#isStillOut(stream, epoch)) await this.#volume.pause()
    if (!isCurrent()) return
    this.#giveUpRepeats(stream)
    const doubts = this.#doubts(stream)
    const asks = doubts.map(doubtfulOperation)
    const { rightsVersion } = this.#volume
    const answer = await port.resume({ key, number, inDoubt: doubts.length, asks, rightsVersion })
    if (!isCurrent()) return
    if (answer.number === null) return this.#die(stream)
    stream.numbered(answer.number, epoch)
    stream.hasSettled = doubts.length === 0
    for (let index = doubts.length - 1; index >= 0; index--) {
      const doubt = doubts[index]!
      if (isStill(doubt)) this.#decide(doubt.routed, answer.fates[index] ?? 'unknown')
    }
    if (stream.hasSettled) return this.#open(stream)
    stream.state = StreamState.settling
    this.#volume.advance()
    await this.#settle(stream)
  }

  #decide(routed: RoutedOperation, fate: OperationFate): void {
    if (fate === 'carriedOut') return this.#volume.end(routed, BlockStatus.ok, 0)
    const isCompared = needsProof(routed)
    if (fate === 'unknown' || (isCompared && fate === 'absent'))
      return this.#volume.end(routed, BlockStatus.inDoubt, 0)
    if (isCompared) routed.isRedo = true
    // 'absent' too: of a member that has forgotten its log nobody knows.
    routed.mayBeBegun = true
    this.#repeat(routed)
  }

  #repeat(routed: RoutedOperation): void {
    if (routed.isCancelled) this.#volume.end(routed, BlockStatus.aborted, 0)
    else this.#volume.repeat(routed)
  }

  /** Tells the owner, once everything that was repeated has ended. */
  async #settle(stream: GatewayStream): Promise<void> {
    const { generation, port } = this.#volume
    const isCurrent = () => generation === this.#volume.generation && stream.state === StreamState.settling
    const isBusy = this.#volume
      .operationsOf(stream)
      .some(({ isRepeat, state }) => isRepeat && state !== RoutedState.ended)
    if (isBusy || port === null || !isCurrent()) return
    try {
      const isAlive = await port.settled(stream.number)
      if (!isCurrent()) return
      if (isAlive) this.#open(stream)
      else this.#die(stream)
    } catch {
      await this.#volume.pause()
      if (isCurrent()) void this.#settle(stream)
    }
  }

  #open(stream: GatewayStream): void {
    stream.hasSettled = true
    stream.state = StreamState.open
    this.#volume.advance()
  }

  /** The owner that they were repeated at may have let others go on: after that a repetition would come too late. */
  #giveUpRepeats(stream: GatewayStream): void {
    for (const routed of this.#volume.operationsOf(stream)) {
      const isOpen = routed.state === RoutedState.inDoubt || routed.state === RoutedState.waiting
      if (routed.isRepeat && isOpen) this.#volume.giveUp(routed)
    }
  }

  #isStillOut(stream: GatewayStream, epoch: number): boolean {
    return this.#volume
      .operationsOf(stream)
      .some(routed => routed.isChange && routed.state === RoutedState.sent && routed.epoch !== epoch)
  }

  /** In the order in which they were sent. */
  #doubts(stream: GatewayStream): Doubt[] {
    const doubts = this.#volume.operationsOf(stream).filter(({ state }) => state === RoutedState.inDoubt)
    return doubts
      .map(routed => ({ routed, stream: routed.stream, sequence: routed.sequence }))
      .sort((a, b) => a.sequence - b.sequence)
  }
}

/** An operation in doubt, under the name that it was sent by. */
interface Doubt {
  readonly routed: RoutedOperation
  readonly stream: number
  readonly sequence: number
}

/** With the blocks that it held. */
function doubtfulOperation({ routed, sequence }: Doubt): DoubtfulOperation {
  const { offsetBytes, lengthBytes } = routed.operation
  const startBytes = alignDown(offsetBytes)
  return { sequence, offsetBytes: startBytes, lengthBytes: alignUp(offsetBytes + lengthBytes) - startBytes }
}

/** Nobody has given it up while the owner was asked. */
function isStill({ routed, stream, sequence }: Doubt): boolean {
  return routed.state === RoutedState.inDoubt && routed.stream === stream && routed.sequence === sequence
}

/** What must not be carried out twice: only its write half can be repeated, once its compare has succeeded. */
function needsProof({ operation, isRedo }: RoutedOperation): boolean {
  return operation.kind === BlockKind.compareAndWrite && !isRedo
}
