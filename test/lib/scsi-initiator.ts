import type { Nexus } from '../../src/scsi/nexus.ts'
import {
  DataInResult,
  ScsiCommand,
  type ScsiStatus,
  type ScsiTransport,
  TaskAttribute,
} from '../../src/scsi/scsi-command.ts'
import {
  CommandPhase,
  type ScsiTarget,
  type TaskManagementFunction,
  type TaskManagementResponse,
} from '../../src/scsi/scsi-target.ts'

export interface ScsiAnswer {
  readonly status: ScsiStatus
  /** [key, ASC, ASCQ] of the sense data, in either format; null without sense. */
  readonly code: readonly [number, number, number] | null
  readonly sense: Buffer
  /** Cut to what the initiator expects. */
  readonly data: Buffer
  /** Bytes that the command yielded before that. */
  readonly dataInLength: number
  readonly dataOutLength: number
}

export interface ScsiRequest {
  readonly lun?: number
  readonly dataOut?: Buffer
  /** Bytes there is room for; default 64 KiB. */
  readonly expectedIn?: number
  readonly attribute?: TaskAttribute
  /** Size of the pieces in which streamed data-in is read. */
  readonly segmentBytes?: number
}

export interface PendingCommand {
  readonly command: ScsiCommand
  /** Resolves with null when the command was aborted: no answer. */
  readonly answer: Promise<ScsiAnswer | null>
  readonly phase: CommandPhase
  /** Delivers the data-out and executes, when `phase` asked for it. */
  execute(): void
}

let nexusIds = 0

/** An initiator without a network: drives a ScsiTarget as a transport does, keeping to the seam's rules. */
export class ScsiInitiator implements ScsiTransport {
  readonly target: ScsiTarget
  readonly nexus: Nexus
  readonly #pending = new Map<ScsiCommand, (answer: ScsiAnswer | null) => void>()
  readonly #requests = new Map<ScsiCommand, ScsiRequest>()

  constructor(
    target: ScsiTarget,
    isid = '400000000001',
    initiatorName = 'iqn.2026-11.test:one',
    proof: string | null = null,
  ) {
    this.target = target
    nexusIds += 1
    this.nexus = { id: nexusIds, initiatorName, isid, targetPortalGroupTag: 1, proof }
    target.attach(this.nexus)
  }

  async run(cdb: readonly number[] | Buffer, request: ScsiRequest = {}): Promise<ScsiAnswer> {
    const pending = this.begin(cdb, request)
    pending.execute()
    const answer = await pending.answer
    if (answer === null) throw new Error('the command was aborted')
    return answer
  }

  /** Begins a command and leaves its execution to the caller. */
  begin(cdb: readonly number[] | Buffer, request: ScsiRequest = {}): PendingCommand {
    const command = new ScsiCommand(this)
    command.nexus = this.nexus
    command.lun = request.lun ?? 0
    command.cdb.set(cdb)
    command.cdbLength = Math.max(16, cdb.length)
    command.attribute = request.attribute ?? TaskAttribute.simple
    command.expectedOutLength = request.dataOut?.length ?? 0
    command.expectedInLength = request.expectedIn ?? 65536
    this.#requests.set(command, request)
    const answer = new Promise<ScsiAnswer | null>(resolve => this.#pending.set(command, resolve))
    const phase = this.target.begin(command)
    return { command, answer, phase, execute: () => this.#execute(command, phase) }
  }

  manage(
    fn: TaskManagementFunction,
    command: ScsiCommand | null = null,
    lun = 0,
  ): Promise<TaskManagementResponse> {
    return new Promise(resolve => this.target.manageTasks(fn, this.nexus, lun, command, resolve))
  }

  leave(): Promise<void> {
    return new Promise(resolve => this.target.detach(this.nexus, resolve))
  }

  #execute(command: ScsiCommand, phase: CommandPhase): void {
    if (phase === CommandPhase.answered) return
    if (phase === CommandPhase.needsData) {
      const sent = this.#requests.get(command)?.dataOut ?? Buffer.alloc(0)
      // Borrowed: retainDataOut swaps in a copy, and the original is spoilt after execute().
      const borrowed = Buffer.from(sent.subarray(0, command.dataOutLength))
      command.dataOut = borrowed
      command.dataOutAt = 0
      command.dataOutReceived = borrowed.length
      this.target.execute(command)
      borrowed.fill(0xee)
    } else this.target.execute(command)
  }

  retainDataOut(command: ScsiCommand): void {
    command.dataOut = Buffer.from(command.dataOut)
  }

  awaitsDisk(): void {}

  commandDone(command: ScsiCommand): void {
    if (command.aborted) this.#settle(command, null)
    else if (command.dataInSource === null) this.#settle(command, command.dataIn ?? Buffer.alloc(0))
    else this.#stream(command)
  }

  #stream(command: ScsiCommand): void {
    const source = command.dataInSource!
    const end = Math.min(command.dataInLength, command.expectedInLength)
    const segment = this.#requests.get(command)?.segmentBytes ?? 8192
    const data = Buffer.alloc(end)
    for (let at = 0; at < end; at += segment) {
      const result = source.readDataIn(command, at, Math.min(segment, end - at), data, at)
      if (result === DataInResult.ok) continue
      if (result === DataInResult.failed) return this.#settle(command, data.subarray(0, at))
      const whole = Buffer.alloc(command.dataInLength)
      const receiver = {
        dataInFetched: () => this.#settle(command, command.aborted ? null : whole.subarray(0, end)),
      }
      return source.fetchDataIn(command, whole, 0, receiver)
    }
    this.#settle(command, data)
  }

  #settle(command: ScsiCommand, data: Buffer | null): void {
    const resolve = this.#pending.get(command)
    if (resolve === undefined) throw new Error('a command was answered twice')
    this.#pending.delete(command)
    this.#requests.delete(command)
    resolve(data === null ? null : answerOf(command, data.subarray(0, command.expectedInLength)))
  }
}

function answerOf(command: ScsiCommand, data: Buffer): ScsiAnswer {
  const sense = Buffer.from(command.sense.subarray(0, command.senseLength))
  return {
    status: command.status,
    code: sense.length === 0 ? null : codeOf(sense),
    sense,
    data: Buffer.from(data),
    dataInLength: command.dataInLength,
    dataOutLength: command.dataOutLength,
  }
}

function codeOf(sense: Buffer): readonly [number, number, number] {
  const isFixed = (sense[0]! & 0x7f) < 0x72
  return isFixed ? [sense[2]! & 0x0f, sense[12]!, sense[13]!] : [sense[1]! & 0x0f, sense[2]!, sense[3]!]
}
