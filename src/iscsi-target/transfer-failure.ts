import { type ScsiCommand, ScsiStatus } from '../scsi/scsi-command.ts'
import type { ScsiTarget } from '../scsi/scsi-target.ts'

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

/** Makes the command end in CHECK CONDITION for this failure. */
export function setTransferFailure(target: ScsiTarget, command: ScsiCommand, failure: TransferFailure): void {
  command.status = ScsiStatus.checkCondition
  command.senseLength = target.encodeSense(command, [failure >>> 16, (failure >>> 8) & 0xff, failure & 0xff])
  command.dataInLength = 0
}
