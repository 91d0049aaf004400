import {
  type DataInReceiver,
  DataInResult,
  type ScsiCommand,
  ScsiStatus,
  SENSE_BYTES_MAX,
} from '../scsi/scsi-command.ts'
import type { Session } from './session.ts'
import { SlotQueue, SlotState, type TaskSlot } from './task-slot.ts'
import { TransferFailure } from './transfer-failure.ts'
import { SLAB_SEGMENT_BYTES_MAX } from './transmit-slab.ts'
import { FINAL_BIT } from './wire/bhs.ts'
import { blankDataIn, DATA_IN_STATUS_BIT, encodeDataIn } from './wire/data-in.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'
import {
  blankScsiResponse,
  encodeScsiResponse,
  RESIDUAL_OVERFLOW_BIT,
  RESIDUAL_UNDERFLOW_BIT,
  SENSE_LENGTH_BYTES,
} from './wire/scsi-response.ts'
import { putHalf } from './wire/words.ts'

const Progress = { finished: 0, outOfRoom: 1, fetching: 2 } as const
type Progress = (typeof Progress)[keyof typeof Progress]

/**
 * Sends what SCSI answers: Data-In, read straight into the output slab, and status. RFC 7143 §11.4, §11.7.
 * Answers wait in line while the initiator does not take what it was sent.
 */
export class Answers implements DataInReceiver {
  readonly #session: Session
  readonly #dataIn = blankDataIn()
  readonly #response = blankScsiResponse()
  readonly #waiting = new SlotQueue()
  #fetchedBytes = 0
  #residual = 0
  #residualBits = 0

  constructor(session: Session) {
    this.#session = session
  }

  /** SCSI is done with the task, and the initiator has sent all of its data. */
  send(slot: TaskSlot): void {
    slot.state = SlotState.answered
    if (this.#waiting.first !== null || !this.#hasRoomFor(slot)) this.#waiting.push(slot)
    else this.#proceed(slot)
    this.#session.link.flushSoon()
  }

  /** The initiator took some output: goes on with the answers in line. */
  outputTaken(): void {
    for (let first = this.#waiting.first; first !== null; first = this.#waiting.first) {
      if (!this.#hasRoomFor(first)) return
      this.#waiting.shift()
      this.#proceed(first)
    }
  }

  /** Takes an answer back that has not been sent whole. */
  cancel(slot: TaskSlot): void {
    this.#waiting.remove(slot)
  }

  dataInFetched(command: ScsiCommand): void {
    const slot = command as TaskSlot
    if (slot.aborted || this.#session.ended) {
      this.#session.release(slot)
      this.#session.link.flushSoon()
      return
    }
    if (slot.status !== ScsiStatus.good) slot.dataInLength = slot.dataInSent
    // Ahead of the line: those behind wait for the memory that this one holds.
    slot.state = SlotState.answered
    this.#waiting.unshift(slot)
    this.outputTaken()
    this.#session.link.flushSoon()
  }

  releaseFetched(slot: TaskSlot): void {
    if (slot.fetched === null) return
    this.#fetchedBytes -= slot.fetched.length
    this.#session.pool.give(slot.fetched)
    slot.fetched = null
  }

  #hasRoomFor(slot: TaskSlot): boolean {
    const { link, limits } = this.#session
    const toCome = slot.fetched === null ? this.#fetchedBytes : 0
    return !link.turnIsOver() && link.output.pendingBytes + toCome < limits.outputBytesPerSessionMax
  }

  #proceed(slot: TaskSlot): void {
    // Aborted from elsewhere (a reset by another session) while it waited here: nothing is sent.
    const progress = slot.aborted ? Progress.finished : this.#emit(slot)
    if (progress === Progress.finished) this.#session.release(slot)
    else if (progress === Progress.outOfRoom) this.#waiting.unshift(slot)
  }

  #emit(slot: TaskSlot): Progress {
    const wanted = Math.min(slot.dataInLength, slot.expectedInLength)
    if (wanted > 0 && slot.failure === TransferFailure.none) {
      const progress = this.#emitDataIn(slot, wanted)
      if (progress !== null) return progress
    }
    this.#emitResponse(slot)
    return Progress.finished
  }

  /** Null: the data is out, or was cut short by an error, and a SCSI Response has to follow. */
  #emitDataIn(slot: TaskSlot, wanted: number): Progress | null {
    const { link, parameters } = this.#session
    const { maxBurstLength } = parameters
    const segmentMax = Math.min(parameters.initiatorMaxRecvDataSegmentLength, SLAB_SEGMENT_BYTES_MAX)
    while (slot.dataInSent < wanted) {
      const offset = slot.dataInSent
      if (offset > 0 && !this.#hasRoomFor(slot)) return Progress.outOfRoom
      const burstLeft = maxBurstLength - (offset % maxBurstLength)
      const length = Math.min(wanted - offset, segmentMax, burstLeft)
      const at = link.output.begin(length)
      const result = this.#fill(slot, offset, length, link.output.slab, link.output.dataAt(at))
      if (result === DataInResult.later) return this.#fetch(slot)
      if (result === DataInResult.failed) {
        if (slot.aborted) return Progress.finished
        slot.dataInLength = offset
        return null
      }
      slot.dataInSent = offset + length
      const isLast = slot.dataInSent === wanted
      // Phase collapse: status in the last Data-In, unless sense data has to be carried. §11.7.3.
      const collapsed = isLast && slot.status !== ScsiStatus.checkCondition && slot.senseLength === 0
      const flags = isLast || length === burstLeft ? FINAL_BIT : 0
      this.#putDataIn(slot, at, offset, length, flags, collapsed)
      if (collapsed) return Progress.finished
    }
    return null
  }

  #fill(slot: TaskSlot, offset: number, length: number, into: Buffer, at: number): DataInResult {
    const memory = slot.fetched ?? slot.dataIn
    if (memory === null) return slot.dataInSource!.readDataIn(slot, offset, length, into, at)
    memory.copy(into, at, offset, offset + length)
    return DataInResult.ok
  }

  #fetch(slot: TaskSlot): Progress {
    const buffer = this.#session.pool.take(slot.dataInLength)
    slot.fetched = buffer
    this.#fetchedBytes += buffer.length
    slot.state = SlotState.fetching
    slot.dataInSource!.fetchDataIn(slot, buffer, 0, this)
    return Progress.fetching
  }

  #putDataIn(
    slot: TaskSlot,
    at: number,
    offset: number,
    length: number,
    flags: number,
    collapsed: boolean,
  ): void {
    const { output } = this.#session.link
    const dataIn = this.#dataIn
    dataIn.flags = flags
    dataIn.status = 0
    dataIn.residual = 0
    dataIn.itt = slot.initiatorTaskTag
    dataIn.ttt = RESERVED_TAG
    dataIn.dataSn = slot.dataInSn++
    dataIn.bufferOffset = offset
    if (collapsed) {
      this.#session.taskEnding(slot)
      this.#computeResidual(slot)
      dataIn.flags |= DATA_IN_STATUS_BIT | this.#residualBits
      dataIn.status = slot.status
      dataIn.residual = this.#residual
      this.#session.stamp(dataIn)
    } else {
      this.#session.stampNext(dataIn)
      dataIn.statSn = 0
    }
    encodeDataIn(output.slab, at, dataIn, length)
    output.end(at)
  }

  #emitResponse(slot: TaskSlot): void {
    const { output } = this.#session.link
    this.#session.taskEnding(slot)
    this.#computeResidual(slot)
    const response = this.#response
    response.flags = this.#residualBits
    response.residual = this.#residual
    response.status = slot.status
    response.itt = slot.initiatorTaskTag
    response.expDataSn = slot.dataInSn + slot.r2tSn
    this.#session.stamp(response)
    const dataLength = slot.senseLength === 0 ? 0 : SENSE_LENGTH_BYTES + slot.senseLength
    const at = output.begin(SENSE_LENGTH_BYTES + SENSE_BYTES_MAX)
    encodeScsiResponse(output.slab, at, response, dataLength)
    if (dataLength > 0) {
      const dataAt = output.dataAt(at)
      putHalf(output.slab, dataAt, slot.senseLength)
      slot.sense.copy(output.slab, dataAt + SENSE_LENGTH_BYTES, 0, slot.senseLength)
    }
    output.end(at)
  }

  /** What the command had for the initiator or wanted from it, against what was announced. §11.4.5. */
  #computeResidual(slot: TaskSlot): void {
    const { dataInLength, dataOutLength } = slot
    const moved = slot.writes ? dataOutLength : slot.reads ? dataInLength : dataInLength + dataOutLength
    const expected = slot.writes ? slot.expectedOutLength : slot.expectedInLength
    this.#residual = Math.abs(moved - expected)
    this.#residualBits =
      moved > expected ? RESIDUAL_OVERFLOW_BIT : moved < expected ? RESIDUAL_UNDERFLOW_BIT : 0
  }
}
