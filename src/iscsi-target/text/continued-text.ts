import { type PduRejection, RejectReason, rejection } from '../wire/rejection.ts'
import { TEXT_SEQUENCE_BYTES_MAX } from './key-value.ts'

const TOO_LONG = rejection(RejectReason.protocolError, 'text sequence longer than 8 KiB')
const NOTHING = Buffer.alloc(0)

/** Text that comes in several PDUs, all but the last with the C bit. RFC 7143 §6.2. */
export class ContinuedText {
  #text: Buffer = NOTHING

  /** Copies `piece`; refuses what would pass TEXT_SEQUENCE_BYTES_MAX. */
  append(piece: Buffer): PduRejection | null {
    if (this.#text.length + piece.length > TEXT_SEQUENCE_BYTES_MAX) return TOO_LONG
    this.#text = Buffer.concat([this.#text, piece])
    return null
  }

  /** The whole sequence; the next one starts empty. */
  take(): Buffer {
    const text = this.#text
    this.#text = NOTHING
    return text
  }
}
