import { type ScsiCommand, ScsiStatus } from '../scsi/scsi-command.ts'

/**
 * Why the transport ends a task with CHECK CONDITION by itself: sense key, ASC and ASCQ in one number.
 * RFC 7143 §11.4.7.2; the last two are SPC-5's.
 */
export const TransferFailure = {
  none: 0,
  unexpectedUnsolicitedData: 0x0b0c0c,
  incorrectAmountOfData: 0x0b0c0d,
  protocolServiceCrcError: 0x0b4705,
  tooMuchData: 0x052400,
  bidirectional: 0x050e03,
} as const
export type TransferFailure = (typeof TransferFailure)[keyof typeof TransferFailure]

/** Fixed format sense data, SPC-5 §4.4.3. */
const SENSE_AT = { responseCode: 0, key: 2, additionalLength: 7, asc: 12, ascq: 13 } as const
const SENSE_LENGTH = 18
const RESPONSE_CODE_CURRENT = 0x70

/** Makes the command end in CHECK CONDITION for this failure. */
export function setTransferFailure(command: ScsiCommand, failure: TransferFailure): void {
  const { sense } = command
  sense.fill(0, 0, SENSE_LENGTH)
  sense[SENSE_AT.responseCode] = RESPONSE_CODE_CURRENT
  sense[SENSE_AT.key] = failure >>> 16
  sense[SENSE_AT.additionalLength] = SENSE_LENGTH - SENSE_AT.additionalLength - 1
  sense[SENSE_AT.asc] = failure >>> 8
  sense[SENSE_AT.ascq] = failure
  command.senseLength = SENSE_LENGTH
  command.status = ScsiStatus.checkCondition
  command.dataInLength = 0
}
