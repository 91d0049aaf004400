import { TRANSFER_BYTES_MAX } from './limits.ts'
import { Sense } from './sense.ts'
import type { Task } from './task.ts'

/**
 * Sets the task's range from an LBA and a number of blocks. Answers false, with the command answered, when
 * the range ends past the medium: LOGICAL BLOCK ADDRESS OUT OF RANGE. SBC-4 §4.5.
 */
export function setRange(task: Task, lba: number, blocks: number): boolean {
  const { volume } = task.link.unit
  const { blockSizeBytes } = volume
  if ((lba + blocks) * blockSizeBytes > volume.sizeBytes) {
    task.fail(Sense.logicalBlockAddressOutOfRange)
    return false
  }
  task.offsetBytes = lba * blockSizeBytes
  task.lengthBytes = blocks * blockSizeBytes
  return true
}

/**
 * Of the task's range, the bytes of the whole blocks that came: an initiator that sends less than its CDB says
 * gets those written, and a residual. RFC 7143 §11.4.5.1.
 */
export function receivedBlocksBytes(task: Task): number {
  const received = Math.min(task.command.dataOutReceived, task.lengthBytes)
  return received - (received % task.blockSizeBytes)
}

/** As setRange, for commands that MAXIMUM TRANSFER LENGTH bounds; `lengthAt` is the CDB byte to blame. */
export function setTransferRange(task: Task, lba: number, blocks: number, lengthAt: number): boolean {
  if (!setRange(task, lba, blocks)) return false
  if (task.lengthBytes <= TRANSFER_BYTES_MAX) return true
  task.failField(lengthAt)
  return false
}
