import { type BlockCompletion, BlockKind, BlockOperation } from '../block/block-operation.ts'
import { BlockStatus } from '../block/block-status.ts'
import { invariant } from '../lib/invariant.ts'
import { setBlockFailure } from './block-failure.ts'
import type { CommandDefinition } from './command-definition.ts'
import type { ItlNexus } from './itl-nexus.ts'
import {
  type DataInReceiver,
  DataInResult,
  type DataInSource,
  type ScsiCommand,
  type ScsiStatus,
} from './scsi-command.ts'
import { CommandPhase } from './scsi-target.ts'
import { Sense, type SenseCode, type SenseDetails, setCheckCondition, setTaskAborted } from './sense.ts'

export const TaskState = {
  idle: 0,
  /** In the task set; its data is being collected or execute() has not come yet. */
  entered: 1,
  /** execute() came, but task attributes make it wait for others. */
  held: 2,
  running: 3,
  /** Its status is given, the transport is taking data-in out of the device. */
  streaming: 4,
} as const
export type TaskState = (typeof TaskState)[keyof typeof TaskState]

/** Told when a task that was to be aborted is over. */
export interface TaskEndListener {
  taskEnded(): void
}

type Continuation = (task: Task) => void

/**
 * The device server's half of a ScsiCommand, made once per command slot and used again: where it stands in
 * the task set, its block operation, and the fields that a command's begin() leaves for its execute().
 */
export class Task implements BlockCompletion, DataInSource {
  readonly command: ScsiCommand
  readonly operation: BlockOperation
  link!: ItlNexus
  definition!: CommandDefinition
  state: TaskState = TaskState.idle
  /** Task management wants it gone: it ends as soon as its operation does. */
  isAborting = false
  /** Its initiator hears of that by its status, since it is somebody else's doing; otherwise there is no answer. */
  #isTold = false
  startedAtMs = 0
  // The task set's list, oldest first.
  next: Task | null = null
  previous: Task | null = null

  // What begin() decoded: the range on the medium and FUA.
  offsetBytes = 0
  lengthBytes = 0
  fua = false
  // Where a command stands that takes several operations.
  pieceKind: BlockKind = BlockKind.read
  doneBytes = 0
  /** Memory that a command needs beyond its data; dropped when it ends. */
  scratch: Buffer | null = null

  /** Called when a running task is to be taken back that has no operation of its own; it ends by itself then. */
  onAbort: (() => void) | null = null

  #continuation: Continuation | null = null
  #fetch: DataInReceiver | null = null
  #streamEnd = 0
  #endListeners: TaskEndListener[] | null = null

  constructor(command: ScsiCommand) {
    this.command = command
    this.operation = new BlockOperation(this)
  }

  get blockSizeBytes(): number {
    return this.link.unit.volume.blockSizeBytes
  }

  /**
   * Asks for exactly so much data-out: for commands that make no sense with less or more. An initiator that
   * announces another amount is refused, `lengthAt` being the CDB byte to blame.
   */
  collect(lengthBytes: number, lengthAt: number): CommandPhase {
    this.command.dataOutLength = lengthBytes
    if (this.command.expectedOutLength !== lengthBytes) return this.failField(lengthAt)
    return lengthBytes === 0 ? CommandPhase.ready : CommandPhase.needsData
  }

  /** Ends the command with GOOD (or CONDITION MET, set before), yielding what the answer holds already. */
  good(): void {
    this.#end()
  }

  /** Ends with GOOD and data-in from memory, cut to the ALLOCATION LENGTH. */
  goodWith(data: Buffer, allocationLength: number): void {
    const yielded = data.length <= allocationLength ? data : data.subarray(0, allocationLength)
    this.command.dataIn = yielded
    this.command.dataInLength = yielded.length
    this.#end()
  }

  fail(code: SenseCode, details?: SenseDetails): CommandPhase {
    setCheckCondition(this.command, this.link.unit.modes.descriptorSense, code, details)
    this.#end()
    return CommandPhase.answered
  }

  /** ILLEGAL REQUEST, INVALID FIELD IN CDB with the field pointer set. `bit` is the field's highest. */
  failField(byte: number, bit?: number): CommandPhase {
    return this.fail(Sense.invalidFieldInCdb, {
      field: { inCdb: true, byte, ...(bit === undefined ? {} : { bit }) },
    })
  }

  /** ILLEGAL REQUEST, INVALID FIELD IN PARAMETER LIST with the field pointer set. */
  failParameter(byte: number, bit?: number): CommandPhase {
    const field = { inCdb: false, byte, ...(bit === undefined ? {} : { bit }) }
    return this.fail(Sense.invalidFieldInParameterList, { field })
  }

  failStatus(status: ScsiStatus): CommandPhase {
    this.command.status = status
    this.#end()
    return CommandPhase.answered
  }

  /** Ends with what a block status means to an initiator. */
  failBlock(status: BlockStatus, failedAtBytes: number): void {
    setBlockFailure(this, status, failedAtBytes)
    this.#end()
  }

  /** Keeps data-out beyond execute(): before anything that does not finish in place. */
  retainData(): void {
    if (this.command.dataOutLength > 0) this.command.transport.retainDataOut(this.command)
  }

  /**
   * Submits the task's block operation; `next` runs when it has succeeded, failure ends the task. `next` must
   * be a function that closes over nothing.
   */
  submit(
    kind: BlockKind,
    offsetBytes: number,
    lengthBytes: number,
    data: Buffer | null,
    dataAt: number,
    next: Continuation,
  ): void {
    const { operation } = this
    operation.kind = kind
    operation.offsetBytes = offsetBytes
    operation.lengthBytes = lengthBytes
    if (data !== null) operation.data = data
    operation.dataAt = dataAt
    operation.fua = this.fua && kind !== BlockKind.flush
    operation.isForRead = this.definition.counts === 'read'
    this.#continuation = next
    if (kind === BlockKind.flush || operation.fua) this.command.transport.awaitsDisk(this.command)
    this.link.handle.submit(operation)
  }

  blockDone(operation: BlockOperation): void {
    const next = this.#continuation
    this.#continuation = null
    if (this.isAborting) this.#end()
    else if (operation.status !== BlockStatus.ok) this.failBlock(operation.status, operation.failedAtBytes)
    else next!(this)
  }

  /** Gives GOOD now and lets the transport take the range's bytes straight out of the device. */
  stream(): void {
    const { command } = this
    command.dataInLength = this.lengthBytes
    this.#streamEnd = Math.min(this.lengthBytes, command.expectedInLength)
    if (this.#streamEnd === 0) {
      this.#end()
      return
    }
    command.dataInSource = this
    this.state = TaskState.streaming
    command.transport.commandDone(command)
  }

  readDataIn(command: ScsiCommand, offset: number, length: number, into: Buffer, at: number): DataInResult {
    if (this.state !== TaskState.streaming) return DataInResult.failed
    const { handle } = this.link
    const blockMask = handle.blockSizeBytes - 1
    if (((offset | length) & blockMask) !== 0) return DataInResult.later
    const status = handle.readNow(this.offsetBytes + offset, length, into, at)
    if (status === BlockStatus.ok) {
      if (offset + length >= this.#streamEnd) this.#endStream()
      return DataInResult.ok
    }
    if (status === BlockStatus.wouldBlock) return DataInResult.later
    setBlockFailure(this, status, handle.failedAtBytes)
    command.dataInSource = null
    this.#endStream()
    return DataInResult.failed
  }

  fetchDataIn(command: ScsiCommand, into: Buffer, at: number, done: DataInReceiver): void {
    invariant(command === this.command && this.state === TaskState.streaming, 'a live task streams')
    this.#fetch = done
    this.submit(BlockKind.read, this.offsetBytes, this.lengthBytes, into, at, good)
  }

  dropDataIn(command: ScsiCommand): void {
    if (this.state !== TaskState.streaming) return
    invariant(command === this.command && this.#fetch === null, 'data-in is not dropped while it is fetched')
    this.isAborting = true
    this.#end()
  }

  /**
   * Takes the task back; `listener` (if any) is told when that is so, perhaps at once. `isTold`: its initiator too, by
   * TASK ABORTED.
   */
  abort(listener: TaskEndListener | null, isTold = false): void {
    if (listener !== null) {
      this.#endListeners ??= []
      this.#endListeners.push(listener)
    }
    if (this.isAborting) return
    this.isAborting = true
    this.#isTold = isTold
    const isWorking = this.state === TaskState.running || this.#continuation !== null
    if (!isWorking) this.#end()
    else if (this.#continuation !== null) this.link.handle.abort(this.operation)
    else this.onAbort?.()
  }

  /** The way out, but for a stream that was read: leaves the task set, then answers, then lets waiting tasks run. */
  #end(): void {
    const { command, link } = this
    const wasStreaming = this.state === TaskState.streaming
    const fetch = this.#fetch
    const listeners = this.#endListeners
    command.aborted = this.isAborting && !this.#isTold
    if (this.#isTold) setTaskAborted(command, wasStreaming)
    this.#leave()
    if (fetch !== null) fetch.dataInFetched(command)
    else if (!wasStreaming) command.transport.commandDone(command)
    if (listeners !== null) for (const listener of listeners) listener.taskEnded()
    link.unit.tasks.dispatch()
  }

  /** The transport, in the midst of a PDU, has all that it gets, and must not be called back. */
  #endStream(): void {
    this.#leave()
    this.link.unit.tasks.dispatchSoon()
  }

  #leave(): void {
    const { command, link } = this
    this.state = TaskState.idle
    this.isAborting = false
    this.#isTold = false
    this.#fetch = null
    this.#endListeners = null
    this.scratch = null
    this.onAbort = null
    link.unit.taskLeaves(this, command)
  }
}

/** The continuation of what ends with one operation. */
export function good(task: Task): void {
  task.good()
}
