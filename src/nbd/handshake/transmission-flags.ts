import { ReplyStyle, TransmissionFlag } from '../wire/constants.ts'

/** True whatever was negotiated. One owner orders a volume's I/O, so a flush covers every connection. */
const ALWAYS =
  TransmissionFlag.HAS_FLAGS |
  TransmissionFlag.SEND_FLUSH |
  TransmissionFlag.SEND_FUA |
  TransmissionFlag.CAN_MULTI_CONN |
  TransmissionFlag.SEND_CACHE

const WRITING =
  TransmissionFlag.SEND_TRIM | TransmissionFlag.SEND_WRITE_ZEROES | TransmissionFlag.SEND_FAST_ZERO

export interface FlagFacts {
  readonly readOnly: boolean
  readonly resizable: boolean
  readonly style: ReplyStyle
  readonly blockStatus: boolean
}

/** "Transmission flags" of an export under what was negotiated. */
export function transmissionFlags({ readOnly, resizable, style, blockStatus }: FlagFacts): number {
  let flags = ALWAYS | (readOnly ? TransmissionFlag.READ_ONLY : WRITING)
  if (resizable && !readOnly) flags |= TransmissionFlag.SEND_RESIZE
  if (style !== ReplyStyle.simple) flags |= TransmissionFlag.SEND_DF
  if (style === ReplyStyle.extended && blockStatus) flags |= TransmissionFlag.BLOCK_STATUS_PAYLOAD
  return flags
}
