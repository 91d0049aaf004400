import type { BufferPool } from '../net/buffer-pool.ts'
import type { Clock } from '../net/clock.ts'
import type { FaultCounters } from '../net/fault-counters.ts'
import type { Logger } from '../net/logger.ts'
import type { Nexus } from '../scsi/nexus.ts'
import type { ScsiCommand, ScsiTransport } from '../scsi/scsi-command.ts'
import type { ScsiTarget } from '../scsi/scsi-target.ts'
import { Answers } from './answers.ts'
import { CommandIntake } from './command-intake.ts'
import { Arrival, CommandWindow } from './command-window.ts'
import type { ConnectionPhase, SessionLink } from './connection-phase.ts'
import { DataOut } from './data-out.ts'
import { KeepAlive } from './keep-alive.ts'
import type { IscsiLimits } from './limits.ts'
import type { LoginOutcome, NegotiatedParameters } from './login/login-outcome.ts'
import type { PayloadPlace } from './pdu-receiver.ts'
import type { SessionBeginning, SessionKeeper, SessionSurroundings } from './session-beginning.ts'
import { SessionRequests } from './session-requests.ts'
import { SessionStats } from './session-stats.ts'
import type { PortalContact, TargetDirectory } from './target-directory.ts'
import { TaskManagement } from './task-management.ts'
import { SlotState, type TaskSlot, TaskSlots } from './task-slot.ts'
import { setTransferFailure } from './transfer-failure.ts'
import { AsyncEvent } from './wire/async-message.ts'
import {
  BHS_BYTES,
  dataSegmentBytesOf,
  isImmediate,
  opcodeOf,
  REQUEST_NUMBERS_AT,
  type ResponseNumbers,
} from './wire/bhs.ts'
import { Opcode } from './wire/opcodes.ts'
import { encodeReject } from './wire/reject.ts'
import { type PduRejection, RejectReason, rejection } from './wire/rejection.ts'
import { getWord } from './wire/words.ts'

const UNKNOWN_OPCODE = rejection(RejectReason.commandNotSupported, 'unknown opcode')
const LOGIN_AGAIN = rejection(RejectReason.protocolError, 'Login Request in full feature phase')
const NO_SNACK = rejection(RejectReason.snackReject, 'SNACK at ErrorRecoveryLevel 0')
const DATA_OUT_IN_DISCOVERY = rejection(RejectReason.protocolError, 'Data-Out in a discovery session')

/** One session in full feature phase, on its one connection: sorts PDUs, numbers answers, owns the tasks. */
export class Session implements ConnectionPhase, ScsiTransport {
  readonly id: number
  readonly tsih: number
  readonly outcome: LoginOutcome
  readonly parameters: NegotiatedParameters
  readonly contact: PortalContact
  readonly target: ScsiTarget | null
  readonly nexus: Nexus
  readonly link: SessionLink
  readonly directory: TargetDirectory
  readonly limits: IscsiLimits
  readonly pool: BufferPool
  readonly faults: FaultCounters
  readonly stats = new SessionStats()
  readonly window: CommandWindow
  readonly slots: TaskSlots
  readonly answers: Answers
  readonly dataOut: DataOut
  readonly requests: SessionRequests
  readonly connectedAt = new Date()
  /** Nothing is answered any more. */
  ended = false
  /** Asked to log out: no new commands. */
  closing = false
  receiving = true
  readonly #clock: Clock
  readonly #keeper: SessionKeeper
  readonly #logger: Logger
  readonly #intake: CommandIntake
  readonly #taskManagement: TaskManagement
  readonly #keepAlive: KeepAlive
  #statSn: number
  #dismissed = false
  #tasksEnding = false
  #tasksOver = false
  #waitingForTasks: (() => void)[] = []

  constructor(surroundings: SessionSurroundings, beginning: SessionBeginning) {
    const { outcome } = beginning
    this.id = beginning.id
    this.tsih = beginning.tsih
    this.outcome = outcome
    this.parameters = outcome.parameters
    this.contact = beginning.contact
    this.target = outcome.target
    this.link = beginning.link
    this.directory = surroundings.directory
    this.limits = surroundings.limits
    this.pool = surroundings.pool
    this.faults = surroundings.faults
    this.#clock = surroundings.clock
    this.#keeper = beginning.keeper
    this.#logger = surroundings.logger
    this.nexus = {
      id: this.id,
      initiatorName: outcome.initiatorName,
      isid: outcome.isid,
      targetPortalGroupTag: surroundings.directory.targetPortalGroupTag,
      proof: outcome.proof,
    }
    this.#statSn = outcome.nextStatSn
    this.window = new CommandWindow(outcome.expCmdSn, surroundings.limits.commandsPerSessionMax)
    this.slots = new TaskSlots(this)
    this.answers = new Answers(this)
    this.dataOut = new DataOut(this)
    this.requests = new SessionRequests(this)
    this.#intake = new CommandIntake(this)
    this.#taskManagement = new TaskManagement(this)
    this.#keepAlive = new KeepAlive(this)
  }

  pduReceived(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): void {
    const opcode = opcodeOf(pdu, at)
    if (opcode === Opcode.dataOut) {
      const refusal =
        this.target === null ? DATA_OUT_IN_DISCOVERY : this.dataOut.receive(pdu, at, data, dataAt, dataLength)
      if (refusal !== null) this.#reject(refusal, pdu, at)
      return
    }
    if (isImmediate(pdu, at) || opcode === Opcode.snackRequest) {
      const refusal = this.#deliver(opcode, pdu, at, data, dataAt, dataLength)
      if (refusal !== null) this.#reject(refusal, pdu, at)
      this.#deliverHeld()
      return
    }
    const cmdSn = getWord(pdu, at + REQUEST_NUMBERS_AT.cmdSn)
    switch (this.window.arrival(cmdSn)) {
      case Arrival.next:
        this.#deliverInOrder(opcode, pdu, at, data, dataAt, dataLength)
        this.#deliverHeld()
        return
      case Arrival.early:
        if (!this.window.hold(cmdSn, pdu, at, data, dataAt, dataLength))
          this.faults.count('heldCommandDropped')
        return
      default:
        this.faults.count('cmdSnOutsideWindow')
    }
  }

  placePayload(pdu: Buffer, at: number, dataLength: number, place: PayloadPlace): boolean {
    return opcodeOf(pdu, at) === Opcode.dataOut && this.dataOut.place(pdu, at, dataLength, place)
  }

  /** RFC 7143 §7.8: the PDU is rejected; a task whose data it was fails, anything else is as if never received. */
  dataDigestFailed(pdu: Buffer, at: number): void {
    this.#reject(rejection(RejectReason.dataDigestError, 'data digest'), pdu, at)
    if (opcodeOf(pdu, at) === Opcode.dataOut) this.dataOut.digestFailed(pdu, at, dataSegmentBytesOf(pdu, at))
  }

  get isWaitingForDisk(): boolean {
    return this.slots.awaitingDisk > 0
  }

  outputTaken(): void {
    if (!this.ended) this.answers.outputTaken()
    this.#considerReceiving()
  }

  flushed(): void {
    if (this.stats.isUnsettled) this.stats.settle(this.#clock.nowMs() * 1000)
    this.outputTaken()
  }

  tick(nowMs: number): void {
    if (!this.ended) this.#keepAlive.tick(nowMs)
  }

  connectionClosed(reason: string): void {
    this.ended = true
    this.#logger.info({ ...this.#logFields(), reason }, 'session ended')
    this.endTasks(() => this.#keeper.sessionEnded(this))
  }

  /** Takes all tasks back from SCSI, then calls `done`; nothing is received from now on. */
  endTasks(done: () => void): void {
    this.receiving = false
    if (this.#tasksOver) {
      done()
      return
    }
    this.#waitingForTasks.push(done)
    if (this.#tasksEnding) return
    this.#tasksEnding = true
    for (const slot of this.slots.all) if (slot.isOurs) this.dropAnswer(slot)
    if (this.target === null) this.#tasksAreOver()
    else this.target.detach(this.nexus, () => this.#tasksAreOver())
  }

  /** Ends the session at once: its connection closes, its tasks are aborted. `done` when that is so. */
  drop(reason: string, done: () => void): void {
    this.endTasks(done)
    this.link.close(reason)
  }

  /** Ends the session and tells the initiator so. `done` when its tasks are over: nothing of them is written any more. */
  dismiss(reason: string, done: () => void): void {
    const isFirst = !this.#dismissed
    this.#dismissed = true
    this.endTasks(() => {
      if (isFirst && !this.ended) {
        this.requests.tell(AsyncEvent.sessionDropped, 0)
        this.link.closeWhenSent(reason)
      }
      done()
    })
  }

  /** As suggestLogout(), and commands that come after this are refused. */
  askForLogout(withinSeconds: number): void {
    this.suggestLogout(withinSeconds)
    this.closing = true
  }

  /** Asks the initiator to log out. RFC 7143 §11.9.1, event 1. */
  suggestLogout(withinSeconds: number): void {
    if (this.ended || this.closing) return
    this.requests.tell(AsyncEvent.logoutRequested, withinSeconds)
  }

  // ScsiTransport.

  commandDone(command: ScsiCommand): void {
    const slot = command as TaskSlot
    if (this.ended || (slot.aborted && slot.state !== SlotState.failing)) {
      this.release(slot)
    } else if (slot.state === SlotState.failing) {
      this.#answerFailure(slot)
    } else if (slot.transferOpen) {
      slot.answerReady = true
    } else {
      this.dataOut.endWait(slot)
      this.answers.send(slot)
    }
  }

  retainDataOut(command: ScsiCommand): void {
    this.dataOut.retain(command as TaskSlot)
  }

  awaitsDisk(command: ScsiCommand): void {
    this.slots.awaitsDisk(command as TaskSlot)
  }

  // For the parts of the session.

  /** The numbers of an answer that takes a StatSN. */
  stamp(numbers: ResponseNumbers): void {
    this.stampNext(numbers)
    this.#statSn = (this.#statSn + 1) >>> 0
  }

  /** The numbers of a PDU that names the next StatSN without taking it. */
  stampNext(numbers: ResponseNumbers): void {
    numbers.statSn = this.#statSn
    numbers.expCmdSn = this.window.expCmdSn
    numbers.maxCmdSn = this.window.maxCmdSn
  }

  taskBegun(slot: TaskSlot): void {
    slot.startedAtUs = this.link.heardAtMs * 1000
    slot.inWindow = !slot.immediate
    if (slot.inWindow) this.window.taskBegun()
    this.stats.commandBegun()
  }

  /** Its answer is being written: its place in the window is free, and that answer says so. */
  taskEnding(slot: TaskSlot): void {
    if (slot.inWindow) this.window.taskEnded()
    slot.inWindow = false
  }

  release(slot: TaskSlot): void {
    if (slot.state === SlotState.free) return
    this.taskEnding(slot)
    this.stats.commandEnded(slot)
    this.answers.releaseFetched(slot)
    slot.dataInSource?.dropDataIn(slot)
    this.slots.give(slot)
    this.dataOut.release(slot)
  }

  /** Takes back the answer of a task that SCSI is done with. */
  dropAnswer(slot: TaskSlot): void {
    slot.aborted = true
    this.answers.cancel(slot)
    // A fetch still writes into its buffer: its end releases the slot.
    if (slot.state !== SlotState.fetching) this.release(slot)
  }

  /** All data of a task that failed in transfer has come in: takes it back from SCSI and answers. */
  endWithFailure(slot: TaskSlot): void {
    if (slot.state === SlotState.refused || slot.answerReady) {
      this.#answerFailure(slot)
    } else if (slot.state === SlotState.withScsi) {
      slot.state = SlotState.failing
      this.target!.manageTasks('abortTask', this.nexus, slot.lun, slot, () => {})
    }
  }

  targetWasReset(): void {
    this.#keeper.targetWasReset(this.target!)
  }

  #deliver(
    opcode: number,
    pdu: Buffer,
    at: number,
    data: Buffer,
    dataAt: number,
    dataLength: number,
  ): PduRejection | null {
    switch (opcode) {
      case Opcode.scsiCommand:
        return this.#intake.receive(pdu, at, data, dataAt, dataLength)
      case Opcode.nopOut:
        return this.requests.nopOut(pdu, at, data, dataAt, dataLength)
      case Opcode.taskManagementRequest:
        return this.#taskManagement.receive(pdu, at)
      case Opcode.textRequest:
        return this.requests.text(pdu, at, data, dataAt, dataLength)
      case Opcode.logoutRequest:
        return this.requests.logout(pdu, at)
      case Opcode.snackRequest:
        return NO_SNACK
      case Opcode.loginRequest:
        return LOGIN_AGAIN
      default:
        return UNKNOWN_OPCODE
    }
  }

  /** A PDU that is rejected leaves its number open. RFC 7143 §11.17.1. */
  #deliverInOrder(
    opcode: number,
    pdu: Buffer,
    at: number,
    data: Buffer,
    dataAt: number,
    dataLength: number,
  ): void {
    this.window.advance()
    const refusal = this.#deliver(opcode, pdu, at, data, dataAt, dataLength)
    if (refusal === null) return
    this.window.retreat()
    this.#reject(refusal, pdu, at)
  }

  #deliverHeld(): void {
    if (this.#tasksEnding) return
    for (let held = this.window.takeHeld(); held !== null; held = this.window.takeHeld()) {
      const { pdu, data } = held
      this.#deliverInOrder(opcodeOf(pdu, 0), pdu, 0, data, 0, data.length)
    }
  }

  #reject(refusal: PduRejection, pdu: Buffer, at: number): void {
    this.faults.count(refusal.fault)
    this.#logger.debug({ ...this.#logFields(), fault: refusal.fault }, 'PDU rejected')
    const { output } = this.link
    const fields = { reason: refusal.reason, dataSn: 0, statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
    this.stamp(fields)
    const replyAt = output.begin(BHS_BYTES)
    encodeReject(output.slab, replyAt, output.dataAt(replyAt), fields, pdu, at)
    output.end(replyAt)
    this.link.flushSoon()
  }

  #answerFailure(slot: TaskSlot): void {
    slot.aborted = false
    setTransferFailure(this.target!, slot, slot.failure)
    this.answers.send(slot)
  }

  #considerReceiving(): void {
    const hasRoom = this.link.output.pendingBytes < this.limits.outputBytesPerSessionMax
    if (hasRoom === this.receiving || this.#tasksEnding) return
    this.receiving = hasRoom
    if (hasRoom) this.link.receiveAgain()
  }

  #tasksAreOver(): void {
    this.#tasksOver = true
    const waiting = this.#waitingForTasks
    this.#waitingForTasks = []
    for (const done of waiting) done()
  }

  #logFields(): Record<string, unknown> {
    const { initiatorName, target } = this.outcome
    return { initiator: initiatorName, target: target?.name ?? null }
  }
}
