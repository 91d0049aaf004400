import { HELD_COMMAND_BYTES_MAX } from './limits.ts'
import { ahsBytesOf, BHS_BYTES } from './wire/bhs.ts'
import { serialAdd, serialDistance } from './wire/serial-number.ts'

/** A PDU that came before its turn, copied. */
export interface HeldPdu {
  readonly pdu: Buffer
  readonly data: Buffer
}

export const Arrival = {
  /** It has the next number: deliver it. */
  next: 0,
  /** Inside the window behind a hole: hold() it. */
  early: 1,
  /** Outside the window or seen already: to be ignored silently. */
  outside: 2,
} as const
export type Arrival = (typeof Arrival)[keyof typeof Arrival]

/** Numbers that were plugged by an abort: received, nothing to deliver. RFC 7143 §7.9. */
const PLUGGED = null

/**
 * The order of non-immediate commands: ExpCmdSN, MaxCmdSN, and what waits behind a hole. RFC 7143 §4.2.2.1.
 * MaxCmdSN leaves room for the tasks that are still being worked on, and never falls.
 */
export class CommandWindow {
  expCmdSn: number
  readonly #width: number
  #tasks = 0
  readonly #held = new Map<number, HeldPdu | typeof PLUGGED>()
  #heldBytes = 0

  constructor(firstCmdSn: number, width: number) {
    this.expCmdSn = firstCmdSn
    this.#width = width
  }

  get maxCmdSn(): number {
    return (this.expCmdSn + this.#width - this.#tasks - 1) >>> 0
  }

  arrival(cmdSn: number): Arrival {
    const ahead = (cmdSn - this.expCmdSn) | 0
    if (ahead === 0 && this.#tasks < this.#width) return Arrival.next
    if (ahead <= 0 || ahead >= this.#width - this.#tasks) return Arrival.outside
    return this.#held.has(cmdSn) ? Arrival.outside : Arrival.early
  }

  advance(): void {
    this.expCmdSn = serialAdd(this.expCmdSn, 1)
  }

  /** Undoes advance() for a PDU that is rejected: it leaves a hole. RFC 7143 §11.17.1. */
  retreat(): void {
    this.expCmdSn = serialAdd(this.expCmdSn, -1)
  }

  taskBegun(): void {
    this.#tasks++
  }

  taskEnded(): void {
    this.#tasks--
  }

  /** Copies a PDU aside. False when there is no room: it counts as lost, and the initiator sends it again. */
  hold(cmdSn: number, pdu: Buffer, at: number, data: Buffer, dataAt: number, dataLength: number): boolean {
    const pduEnd = at + BHS_BYTES + ahsBytesOf(pdu, at)
    const bytes = pduEnd - at + dataLength
    if (this.#heldBytes + bytes > HELD_COMMAND_BYTES_MAX) return false
    this.#heldBytes += bytes
    this.#held.set(cmdSn, {
      pdu: Buffer.from(pdu.subarray(at, pduEnd)),
      data: Buffer.from(data.subarray(dataAt, dataAt + dataLength)),
    })
    return true
  }

  /** The held PDU whose turn has come, removed; plugged numbers are stepped over. */
  takeHeld(): HeldPdu | null {
    while (this.#held.size > 0) {
      const held = this.#held.get(this.expCmdSn)
      if (held === undefined) return null
      this.#held.delete(this.expCmdSn)
      if (held !== PLUGGED) {
        this.#heldBytes -= held.pdu.length + held.data.length
        return held
      }
      this.advance()
    }
    return null
  }

  /** Counts a number as received without its PDU. False when it is not in the window. RFC 7143 §11.6.1. */
  plug(cmdSn: number): boolean {
    const ahead = serialDistance(cmdSn, this.expCmdSn)
    if (ahead < 0 || ahead >= this.#width - this.#tasks) return false
    const held = this.#held.get(cmdSn)
    if (held != null) this.#heldBytes -= held.pdu.length + held.data.length
    this.#held.set(cmdSn, PLUGGED)
    return true
  }

  /** Held PDUs with their numbers, for task management. */
  held(): Iterable<[number, HeldPdu | typeof PLUGGED]> {
    return this.#held
  }
}
