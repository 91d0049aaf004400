import { CommandPhase } from '../scsi/scsi-target.ts'
import { IMMEDIATE_COMMANDS_MAX } from './limits.ts'
import type { Session } from './session.ts'
import { SlotState, type TaskSlot } from './task-slot.ts'
import { TransferFailure } from './transfer-failure.ts'
import { type AhsFields, BHS_CDB_BYTES, decodeAhs } from './wire/ahs.ts'
import { ahsBytesOf } from './wire/bhs.ts'
import { flatLun } from './wire/lun.ts'
import { RESERVED_TAG } from './wire/opcodes.ts'
import { type PduRejection, RejectReason, rejection } from './wire/rejection.ts'
import { blankScsiCommand, decodeScsiCommand, SCSI_COMMAND_AT } from './wire/scsi-command.ts'

const IN_DISCOVERY = rejection(RejectReason.commandNotSupported, 'SCSI Command in a discovery session')
const CLOSING = rejection(RejectReason.waitingForLogout, 'SCSI Command after a request to log out')
const NO_TAG = rejection(RejectReason.invalidPduField, 'SCSI Command with the reserved task tag')
const TAG_IN_USE = rejection(RejectReason.taskInProgress, 'SCSI Command with the tag of a running task')
const TOO_MANY_IMMEDIATE = rejection(RejectReason.tooManyImmediateCommands, 'too many immediate commands')
const DATA_WITHOUT_WRITE = rejection(RejectReason.protocolError, 'SCSI Command with data but without W')

/** From a SCSI Command PDU to a task of the SCSI target. RFC 7143 §11.3. */
export class CommandIntake {
  readonly #session: Session
  readonly #fields = blankScsiCommand()
  readonly #ahs: AhsFields = { extendedCdbAt: -1, extendedCdbLength: 0, bidirectionalReadLength: -1 }

  constructor(session: Session) {
    this.#session = session
  }

  /** Answers why the PDU is refused, or null. */
  receive(pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): PduRejection | null {
    const session = this.#session
    const fields = this.#fields
    const refusal = decodeScsiCommand(pdu, at, fields) ?? this.#refusal(dataLength)
    if (refusal !== null) return refusal
    const hasAhs = ahsBytesOf(pdu, at) > 0
    if (hasAhs) {
      const fault = decodeAhs(pdu, at, this.#ahs)
      if (fault !== null) return fault
    }
    const slot = session.slots.take(fields.itt, fields.immediate)
    this.#fillIn(slot, pdu, at)
    if (hasAhs) this.#addExtendedCdb(slot, pdu)
    session.taskBegun(slot)
    if (fields.read && fields.write) {
      slot.state = SlotState.refused
      slot.transferredBytes = dataLength
      session.dataOut.fail(slot, TransferFailure.bidirectional)
    } else {
      this.#start(slot, data, dataAt, dataLength)
    }
    return null
  }

  #refusal(dataLength: number): PduRejection | null {
    const { target, closing, slots } = this.#session
    const { itt, immediate, write } = this.#fields
    if (target === null) return IN_DISCOVERY
    if (closing) return CLOSING
    if (itt === RESERVED_TAG) return NO_TAG
    if (slots.find(itt) !== null) return TAG_IN_USE
    if (immediate && slots.immediateUsed >= IMMEDIATE_COMMANDS_MAX) return TOO_MANY_IMMEDIATE
    return dataLength > 0 && !write ? DATA_WITHOUT_WRITE : null
  }

  #fillIn(slot: TaskSlot, pdu: Buffer, at: number): void {
    const fields = this.#fields
    slot.nexus = this.#session.nexus
    slot.cmdSn = fields.cmdSn
    slot.reads = fields.read
    slot.writes = fields.write
    slot.lunHigh = fields.lunHigh
    slot.lunLow = fields.lunLow
    slot.lun = flatLun(fields.lunHigh, fields.lunLow)
    slot.attribute = fields.attribute as TaskSlot['attribute']
    slot.expectedOutLength = fields.write ? fields.expectedLength : 0
    slot.expectedInLength = fields.read && !fields.write ? fields.expectedLength : 0
    slot.unsolicitedOpen = !fields.final
    slot.cdbLength = BHS_CDB_BYTES
    const cdbAt = at + SCSI_COMMAND_AT.cdb
    for (let i = 0; i < BHS_CDB_BYTES; i++) slot.cdb[i] = pdu[cdbAt + i]!
  }

  #addExtendedCdb(slot: TaskSlot, pdu: Buffer): void {
    const { extendedCdbAt, extendedCdbLength } = this.#ahs
    if (extendedCdbAt < 0) return
    pdu.copy(slot.cdb, BHS_CDB_BYTES, extendedCdbAt, extendedCdbAt + extendedCdbLength)
    slot.cdbLength = BHS_CDB_BYTES + extendedCdbLength
  }

  #start(slot: TaskSlot, data: Buffer, dataAt: number, dataLength: number): void {
    const target = this.#session.target!
    switch (target.begin(slot)) {
      case CommandPhase.needsData:
        this.#session.dataOut.collect(slot, data, dataAt, dataLength)
        return
      case CommandPhase.ready:
        slot.transferredBytes = dataLength
        target.execute(slot)
        return
      default:
        // Answered already; with data still to come the answer waits for its end.
        if (slot.transferOpen) slot.transferredBytes = dataLength
    }
  }
}
