import { COMMAND_DATA_OUT_BYTES_MAX } from './limits.ts'
import type { PayloadPlace } from './pdu-receiver.ts'
import type { Session } from './session.ts'
import { OUTSTANDING_R2T_MAX, SlotQueue, SlotState, type TaskSlot } from './task-slot.ts'
import { TransferFailure } from './transfer-failure.ts'
import { blankDataOut, decodeDataOut } from './wire/data-out.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'
import { blankR2t, encodeR2t } from './wire/r2t.ts'
import { type PduRejection, RejectReason, rejection } from './wire/rejection.ts'

/** A target transfer tag is a serial number and, in its low bits, the slot that it belongs to. */
const SLOT_BITS = 10
const SLOT_MASK = (1 << SLOT_BITS) - 1
const SERIAL_MASK = 0xffffffff >>> SLOT_BITS
export const SLOTS_MAX = SLOT_MASK

const NEVER_ISSUED = rejection(RejectReason.invalidPduField, 'Data-Out with a tag that was never given out')
const WRONG_TASK = rejection(RejectReason.invalidPduField, 'Data-Out whose tags belong to different tasks')
const EMPTY: Buffer = Buffer.alloc(0)

/** Collects data-out: immediate, unsolicited and solicited by R2T, in order. RFC 7143 §4.2.5.2, §11.7, §11.8. */
export class DataOut {
  readonly #session: Session
  readonly #fields = blankDataOut()
  readonly #r2t = blankR2t()
  readonly #waiting = new SlotQueue()
  #r2tsSent = 0
  #collected = 0
  /** Bytes of pooled buffers that hold data-out of this session. */
  #gatheredBytes = 0

  constructor(session: Session) {
    this.#session = session
  }

  /** begin() said needsData: takes the immediate data, and executes or asks for more. */
  collect(slot: TaskSlot, data: Buffer, dataAt: number, dataLength: number): void {
    const wanted = Math.min(slot.dataOutLength, slot.expectedOutLength)
    slot.collectedAs = ++this.#collected
    slot.wantedBytes = wanted
    slot.transferredBytes = dataLength
    if (this.#unsolicitedIsWrong(slot, dataLength)) {
      this.fail(slot, TransferFailure.unexpectedUnsolicitedData)
    } else if (wanted <= dataLength && !slot.unsolicitedOpen) {
      slot.dataOut = data
      slot.dataOutAt = dataAt
      this.#execute(slot)
    } else if (wanted > COMMAND_DATA_OUT_BYTES_MAX) {
      this.fail(slot, TransferFailure.tooMuchData)
    } else {
      this.#makeRoom(slot, this.#roomToBeginWith(slot))
      data.copy(slot.gathered!, 0, dataAt, dataAt + Math.min(dataLength, wanted))
      this.#goOn(slot)
    }
  }

  /** A Data-Out PDU. Answers why it is refused, or null. */
  receive(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): PduRejection | null {
    const fields = this.#fields
    decodeDataOut(pdu, at, fields)
    const slot = this.#slotOf(fields.itt, fields.ttt)
    if (slot === null) return this.#refuseUnknown(fields.ttt)
    if (slot.initiatorTaskTag !== fields.itt) return WRONG_TASK
    const limit = this.#sequenceLimit(slot)
    const end = fields.bufferOffset + dataLength
    if (slot.failure === TransferFailure.none) {
      const failure = this.#check(slot, end, limit)
      if (failure === TransferFailure.none) this.#store(slot, data, dataAt, dataLength)
      else slot.failure = failure
    }
    slot.dataOutSn++
    slot.transferredBytes += dataLength
    if (fields.final || end >= limit) this.#closeSequence(slot)
    this.#goOn(slot)
    return null
  }

  /** Where a Data-Out payload that has only begun to arrive may be received: its place in the task's buffer. */
  place(pdu: Buffer, at: number, dataLength: number, place: PayloadPlace): boolean {
    const fields = this.#fields
    decodeDataOut(pdu, at, fields)
    const slot = this.#slotOf(fields.itt, fields.ttt)
    if (slot === null || slot.gathered === null || slot.failure !== TransferFailure.none) return false
    const end = fields.bufferOffset + dataLength
    if (this.#check(slot, end, this.#sequenceLimit(slot)) !== TransferFailure.none) return false
    if (slot.initiatorTaskTag !== fields.itt || end > slot.wantedBytes || end > slot.gathered.length)
      return false
    place.buffer = slot.gathered
    place.at = fields.bufferOffset
    return true
  }

  /** A Data-Out whose data digest was wrong: its task fails once the sequence is over. RFC 7143 §7.8. */
  digestFailed(pdu: Buffer, at: number, dataLength: number): void {
    const fields = this.#fields
    decodeDataOut(pdu, at, fields)
    const slot = this.#slotOf(fields.itt, fields.ttt)
    if (slot === null) return
    const limit = this.#sequenceLimit(slot)
    slot.failure = TransferFailure.protocolServiceCrcError
    slot.dataOutSn++
    slot.transferredBytes += dataLength
    if (fields.final || fields.bufferOffset + dataLength >= limit) this.#closeSequence(slot)
    this.#goOn(slot)
  }

  /** The task ends with CHECK CONDITION, as soon as the initiator has nothing more to send for it. */
  fail(slot: TaskSlot, failure: TransferFailure): void {
    slot.failure = failure
    this.#goOn(slot)
  }

  /** Data-out of this command becomes its own. See ScsiTransport.retainDataOut. */
  retain(slot: TaskSlot): void {
    if (slot.gathered !== null) return
    const { dataOut, dataOutAt, dataOutReceived } = slot
    if (dataOutReceived === 0) return
    this.#makeRoom(slot, dataOutReceived)
    dataOut.copy(slot.gathered!, 0, dataOutAt, dataOutAt + dataOutReceived)
    slot.dataOut = slot.gathered!
    slot.dataOutAt = 0
  }

  /** It needs no more data-out: it was aborted from elsewhere, and is about to be answered. */
  endWait(slot: TaskSlot): void {
    if (slot.waitsForRoom) this.#waiting.remove(slot)
    slot.waitsForRoom = false
  }

  /** The task is over: gives its buffer back, and the room to who waits for it. */
  release(slot: TaskSlot): void {
    slot.dataOut = EMPTY
    this.endWait(slot)
    const buffer = slot.gathered
    if (buffer === null) return
    slot.gathered = null
    this.#gatheredBytes -= buffer.length
    // A payload may still be on its way into it: then the buffer is left to the garbage collector.
    if (!this.#session.link.receiver.isReceivingInto(buffer)) this.#session.pool.give(buffer)
    if (this.#waiting.first !== null) this.#serveWaiting()
  }

  #slotOf(itt: number, ttt: number): TaskSlot | null {
    const { slots } = this.#session
    if (ttt === RESERVED_TAG) {
      const slot = slots.find(itt)
      return slot?.unsolicitedOpen ? slot : null
    }
    const slot = slots.all[ttt & SLOT_MASK]
    if (slot === undefined || slot.state === SlotState.free || slot.unsolicitedOpen) return null
    return slot.r2tCount > 0 && slot.r2tTags[slot.r2tFirst] === ttt ? slot : null
  }

  /** Data of tasks that were aborted or have failed is swallowed; a tag that never was is an error. */
  #refuseUnknown(ttt: number): PduRejection | null {
    this.#session.faults.count('dataOutSwallowed')
    if (ttt === RESERVED_TAG) return null
    const age = (this.#r2tsSent - (ttt >>> SLOT_BITS)) & SERIAL_MASK
    return age === 0 || age > Math.min(this.#r2tsSent, SERIAL_MASK) ? NEVER_ISSUED : null
  }

  #unsolicitedIsWrong(slot: TaskSlot, dataLength: number): boolean {
    if (dataLength === 0 && !slot.unsolicitedOpen) return false
    const { parameters } = this.#session
    if (dataLength > 0 && !parameters.immediateData) return true
    if (slot.unsolicitedOpen && parameters.initialR2T) return true
    return dataLength > Math.min(parameters.firstBurstLength, slot.expectedOutLength)
  }

  /** Buffer offset at which the sequence that is open ends. */
  #sequenceLimit(slot: TaskSlot): number {
    if (!slot.unsolicitedOpen) return slot.r2tEnds[slot.r2tFirst]!
    return Math.min(this.#session.parameters.firstBurstLength, slot.expectedOutLength)
  }

  #check(slot: TaskSlot, end: number, limit: number): TransferFailure {
    const { dataSn, bufferOffset, final } = this.#fields
    if (dataSn !== slot.dataOutSn || bufferOffset !== slot.transferredBytes) {
      return TransferFailure.protocolServiceCrcError
    }
    if (end > limit) {
      return slot.unsolicitedOpen
        ? TransferFailure.unexpectedUnsolicitedData
        : TransferFailure.incorrectAmountOfData
    }
    return final && end < limit ? TransferFailure.incorrectAmountOfData : TransferFailure.none
  }

  #store(slot: TaskSlot, data: Buffer, dataAt: number, dataLength: number): void {
    const buffer = slot.gathered
    const from = slot.transferredBytes
    const length = Math.min(dataLength, slot.wantedBytes - from)
    if (buffer === null || length <= 0 || (data === buffer && dataAt === from)) return
    data.copy(buffer, from, dataAt, dataAt + length)
  }

  #closeSequence(slot: TaskSlot): void {
    slot.dataOutSn = 0
    if (slot.unsolicitedOpen) {
      slot.unsolicitedOpen = false
    } else {
      slot.r2tFirst = (slot.r2tFirst + 1) % OUTSTANDING_R2T_MAX
      slot.r2tCount--
    }
  }

  /** What follows from what has arrived so far. */
  #goOn(slot: TaskSlot): void {
    if (slot.failure !== TransferFailure.none) {
      if (!slot.transferOpen) this.#session.endWithFailure(slot)
    } else if (slot.answerReady) {
      if (!slot.transferOpen) this.#session.answers.send(slot)
    } else if (!slot.unsolicitedOpen) {
      if (slot.transferredBytes < slot.wantedBytes) this.#solicit(slot)
      else if (slot.r2tCount === 0) this.#executeGathered(slot)
    }
  }

  #executeGathered(slot: TaskSlot): void {
    slot.dataOut = slot.gathered!
    slot.dataOutAt = 0
    this.#execute(slot)
  }

  #execute(slot: TaskSlot): void {
    slot.dataOutReceived = slot.wantedBytes
    this.#session.target!.execute(slot)
  }

  #solicit(slot: TaskSlot): void {
    if (slot.waitsForRoom) return
    if (slot.gathered!.length < slot.wantedBytes && !this.#hasRoomFor(slot)) {
      slot.waitsForRoom = true
      this.#waiting.push(slot)
      return
    }
    this.#makeRoom(slot, slot.wantedBytes)
    if (slot.solicitedUpTo < slot.transferredBytes) slot.solicitedUpTo = slot.transferredBytes
    const outstandingMax = Math.min(this.#session.parameters.maxOutstandingR2T, OUTSTANDING_R2T_MAX)
    while (slot.r2tCount < outstandingMax && slot.solicitedUpTo < slot.wantedBytes) this.#sendR2t(slot)
  }

  #sendR2t(slot: TaskSlot): void {
    const { link, parameters } = this.#session
    const offset = slot.solicitedUpTo
    const length = Math.min(parameters.maxBurstLength, slot.wantedBytes - offset)
    const tag = (((this.#r2tsSent & SERIAL_MASK) << SLOT_BITS) | slot.index) >>> 0
    this.#r2tsSent++
    const place = (slot.r2tFirst + slot.r2tCount) % OUTSTANDING_R2T_MAX
    slot.r2tTags[place] = tag
    slot.r2tEnds[place] = offset + length
    slot.r2tCount++
    slot.solicitedUpTo = offset + length
    const r2t = this.#r2t
    r2t.lunHigh = slot.lunHigh
    r2t.lunLow = slot.lunLow
    r2t.itt = slot.initiatorTaskTag
    r2t.ttt = tag
    r2t.r2tSn = slot.r2tSn++
    r2t.bufferOffset = offset
    r2t.desiredLength = length
    this.#session.stampNext(r2t)
    const at = link.output.begin(0)
    encodeR2t(link.output.slab, at, r2t)
    link.output.end(at)
    link.flushSoon()
  }

  /** All of it if memory allows, else what may come unasked. */
  #roomToBeginWith(slot: TaskSlot): number {
    if (this.#hasRoomFor(slot)) return slot.wantedBytes
    return Math.min(slot.wantedBytes, this.#session.parameters.firstBurstLength)
  }

  /** The oldest that has to wait always has, if all before it are only waiting too: they would never give any back. */
  #hasRoomFor(slot: TaskSlot): boolean {
    const own = slot.gathered === null ? 0 : slot.gathered.length
    const others = this.#gatheredBytes - own
    const { dataOutBytesPerSessionMax } = this.#session.limits
    return others + slot.wantedBytes <= dataOutBytesPerSessionMax || !this.#isAnyBeforeWhole(slot)
  }

  /**
   * Some older task has all of its data-out, or room for it: it can end, and gives its buffer back. A younger one may have
   * to wait for this one, because an ORDERED task is between them. SAM-5 §8.6.
   */
  #isAnyBeforeWhole({ collectedAs }: TaskSlot): boolean {
    return this.#session.slots.all.some(other => {
      const { gathered } = other
      const isWhole = gathered !== null && gathered.length >= other.wantedBytes
      return isWhole && other.collectedAs < collectedAs
    })
  }

  #makeRoom(slot: TaskSlot, lengthBytes: number): void {
    const before = slot.gathered
    if (before !== null && before.length >= lengthBytes) return
    const { pool } = this.#session
    const buffer = pool.take(lengthBytes)
    this.#gatheredBytes += buffer.length
    slot.gathered = buffer
    if (before === null) return
    before.copy(buffer, 0, 0, Math.min(slot.transferredBytes, before.length))
    this.#gatheredBytes -= before.length
    pool.give(before)
  }

  #serveWaiting(): void {
    for (let slot = this.#waiting.first; slot !== null; slot = this.#waiting.first) {
      if (!this.#hasRoomFor(slot)) return
      this.#waiting.shift()
      slot.waitsForRoom = false
      this.#solicit(slot)
    }
  }
}
