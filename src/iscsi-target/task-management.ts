import type { TaskManagementFunction, TaskManagementResponse } from '../scsi/scsi-target.ts'
import { TASK_MANAGEMENT_FUNCTIONS_MAX } from './limits.ts'
import type { Session } from './session.ts'
import { SlotState, type TaskSlot } from './task-slot.ts'
import { BHS_AT, ittOf } from './wire/bhs.ts'
import { flatLun } from './wire/lun.ts'
import { type PduRejection, RejectReason, rejection } from './wire/rejection.ts'
import { serialBefore } from './wire/serial-number.ts'
import {
  decodeTaskManagementRequest,
  encodeTaskManagementResponse,
  TaskFunction,
  type TaskManagementRequestFields,
  TaskResponse,
} from './wire/task-management.ts'
import { getWord } from './wire/words.ts'

const IN_DISCOVERY = rejection(RejectReason.commandNotSupported, 'task management in a discovery session')

const responses: Readonly<Record<TaskManagementResponse, number>> = {
  functionComplete: TaskResponse.functionComplete,
  taskDoesNotExist: TaskResponse.taskDoesNotExist,
  lunDoesNotExist: TaskResponse.lunDoesNotExist,
  functionNotSupported: TaskResponse.functionNotSupported,
}

const functions: Readonly<Record<number, TaskManagementFunction>> = {
  [TaskFunction.abortTaskSet]: 'abortTaskSet',
  [TaskFunction.clearAca]: 'clearAca',
  [TaskFunction.clearTaskSet]: 'clearTaskSet',
  [TaskFunction.logicalUnitReset]: 'logicalUnitReset',
  [TaskFunction.targetWarmReset]: 'targetWarmReset',
  [TaskFunction.targetColdReset]: 'targetColdReset',
}

/** Task management functions, RFC 7143 §11.5, §11.6: the response goes out when the function has taken effect. */
export class TaskManagement {
  readonly #session: Session
  #pending = 0

  constructor(session: Session) {
    this.#session = session
  }

  receive(pdu: Buffer, at: number): PduRejection | null {
    const { target } = this.#session
    if (target === null) return IN_DISCOVERY
    const request = decodeTaskManagementRequest(pdu, at)
    if (this.#pending >= TASK_MANAGEMENT_FUNCTIONS_MAX) {
      this.#respond(request.itt, TaskResponse.functionRejected)
    } else if (request.fn === TaskFunction.abortTask) {
      this.#abortTask(request)
    } else if (request.fn === TaskFunction.taskReassign) {
      this.#respond(request.itt, TaskResponse.reassignmentNotSupported)
    } else {
      this.#abortMany(request)
    }
    return null
  }

  #abortTask(request: TaskManagementRequestFields): void {
    const { slots, window } = this.#session
    const slot = slots.find(request.referencedTaskTag)
    if (slot !== null && slot.lunHigh === request.lunHigh && slot.lunLow === request.lunLow) {
      this.#abortSlot(slot, request)
      return
    }
    // §11.6.1: a task that has not arrived counts as received, and never runs.
    const isEarlier = serialBefore(request.refCmdSn, request.cmdSn)
    const isPlugged = slot === null && isEarlier && window.plug(request.refCmdSn)
    this.#respond(request.itt, isPlugged ? TaskResponse.functionComplete : TaskResponse.taskDoesNotExist)
  }

  #abortSlot(slot: TaskSlot, request: TaskManagementRequestFields): void {
    const { target, nexus } = this.#session
    if (slot.isOurs) {
      this.#session.dropAnswer(slot)
      this.#respond(request.itt, TaskResponse.functionComplete)
      return
    }
    slot.state = SlotState.withScsi
    this.#pending++
    target!.manageTasks('abortTask', nexus, slot.lun, slot, response => {
      this.#pending--
      this.#respond(request.itt, responses[response])
    })
  }

  #abortMany(request: TaskManagementRequestFields): void {
    const { target, nexus } = this.#session
    const fn = functions[request.fn]
    if (fn === undefined) {
      this.#respond(request.itt, TaskResponse.functionNotSupported)
      return
    }
    const ofTarget = fn === 'targetWarmReset' || fn === 'targetColdReset'
    if (fn !== 'clearAca') this.#dropOwn(request, ofTarget)
    this.#pending++
    target!.manageTasks(fn, nexus, flatLun(request.lunHigh, request.lunLow), null, response => {
      this.#pending--
      this.#respond(request.itt, responses[response])
      if (fn === 'targetColdReset') this.#session.targetWasReset()
    })
  }

  /** What SCSI does not have: commands behind a hole in CmdSN, refused ones, answers that wait for room. */
  #dropOwn(request: TaskManagementRequestFields, ofTarget: boolean): void {
    const { slots, window } = this.#session
    for (const [cmdSn, held] of window.held()) {
      if (held === null || !serialBefore(cmdSn, request.cmdSn)) continue
      if (ofTarget || this.#addresses(request, held.pdu)) window.plug(cmdSn)
    }
    for (const slot of slots.all) {
      if (!slot.isOurs) continue
      const isMeant = ofTarget || (slot.lunHigh === request.lunHigh && slot.lunLow === request.lunLow)
      if (isMeant) this.#session.dropAnswer(slot)
    }
  }

  #addresses(request: TaskManagementRequestFields, pdu: Buffer): boolean {
    return (
      getWord(pdu, BHS_AT.lun) === request.lunHigh &&
      getWord(pdu, BHS_AT.lun + 4) === request.lunLow &&
      ittOf(pdu, 0) !== request.itt
    )
  }

  #respond(itt: number, response: number): void {
    const session = this.#session
    if (session.ended) return
    const { output } = session.link
    const fields = { response, itt, statSn: 0, expCmdSn: 0, maxCmdSn: 0 }
    session.stamp(fields)
    const at = output.begin(0)
    encodeTaskManagementResponse(output.slab, at, fields)
    output.end(at)
    session.link.flushSoon()
  }
}
