import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { CommandFlag, NbdCommand } from '../wire/constants.ts'
import type { NbdRequest } from '../wire/request.ts'

/** Who goes on when the operation of a slot has ended. */
export interface SlotOwner {
  slotStepped(slot: RequestSlot): void
}

/** A request that could not be answered in its pass. Used again for others of the same connection. */
export class RequestSlot {
  readonly operation: BlockOperation
  flags = 0
  command = 0
  cookieHigh = 0
  cookieLow = 0
  offsetHigh = 0
  offsetLow = 0
  offsetBytes = 0
  lengthBytes = 0
  startedAtMs = 0
  /** Of the pool: a write's payload, a read's target, what CACHE reads into. */
  buffer: Buffer | null = null
  /** Of a request that is done in pieces: how much has been handed to the device. */
  submittedBytes = 0
  /** A flush, or a write that is durable when it is answered. */
  awaitsSync = false
  readonly #owner: SlotOwner

  constructor(owner: SlotOwner) {
    this.#owner = owner
    this.operation = new BlockOperation(this)
  }

  /** Takes the request over: its header is used again for the next. */
  begin(request: NbdRequest, startedAtMs: number, buffer: Buffer | null): void {
    this.flags = request.flags
    this.command = request.command
    this.cookieHigh = request.cookieHigh
    this.cookieLow = request.cookieLow
    this.offsetHigh = request.offsetHigh
    this.offsetLow = request.offsetLow
    this.offsetBytes = request.offsetBytes
    this.lengthBytes = request.lengthBytes
    this.startedAtMs = startedAtMs
    this.buffer = buffer
    this.submittedBytes = 0
    this.awaitsSync = request.command === NbdCommand.FLUSH || (request.flags & CommandFlag.FUA) !== 0
  }

  /** The next piece of the request as an operation, with at most `pieceBytesMax`. */
  prepare(kind: BlockKind, pieceBytesMax: number, fua: boolean): void {
    const { operation } = this
    const lengthBytes = Math.min(this.lengthBytes - this.submittedBytes, pieceBytesMax)
    operation.kind = kind
    operation.offsetBytes = kind === BlockKind.flush ? 0 : this.offsetBytes + this.submittedBytes
    operation.lengthBytes = lengthBytes
    operation.fua = fua
    operation.dataAt = 0
    if (this.buffer !== null) operation.data = this.buffer
    this.submittedBytes += lengthBytes
  }

  blockDone(): void {
    this.#owner.slotStepped(this)
  }
}
