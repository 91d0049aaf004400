import { BlockKind } from '../../block/block-operation.ts'
import { setTransferRange } from '../block-range.ts'
import { DPO, readLba64, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { PIECE_BYTES } from '../limits.ts'
import { repeatBlock, runPieces } from '../pieces.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

/** BYTCHK: what the medium is compared with. SBC-4 §5.36. */
const ByteCheck = { nothing: 0, dataOut: 1, reserved: 2, oneBlock: 3 } as const
const BYTCHK = 0x06

const common = {
  reservation: 'read',
  timeoutSeconds: 60,
  counts: 'other',
  execute,
} as const

function begin(task: Task, lba: number, blocks: number, lengthAt: number): CommandPhase {
  const byteCheck = byteCheckOf(task)
  if (byteCheck === ByteCheck.reserved) return task.failField(1, 2)
  if (!setTransferRange(task, lba, blocks, lengthAt)) return CommandPhase.answered
  if (byteCheck === ByteCheck.nothing) return CommandPhase.ready
  if (blocks === 0) return task.collect(0, lengthAt)
  return task.collect(byteCheck === ByteCheck.dataOut ? task.lengthBytes : task.blockSizeBytes, lengthAt)
}

function byteCheckOf(task: Task): number {
  return (task.command.cdb[1]! & BYTCHK) >> 1
}

function execute(task: Task): void {
  const { command, lengthBytes } = task
  const { dataOut, dataOutAt } = command
  if (lengthBytes === 0) return task.good()
  switch (byteCheckOf(task)) {
    case ByteCheck.nothing:
      return runPieces(task, BlockKind.read, Buffer.allocUnsafe(Math.min(lengthBytes, PIECE_BYTES)))
    case ByteCheck.oneBlock: {
      const block = dataOut.subarray(dataOutAt, dataOutAt + task.blockSizeBytes)
      return runPieces(task, BlockKind.verify, repeatBlock(block, lengthBytes, PIECE_BYTES))
    }
    default:
      task.retainData()
      task.submit(BlockKind.verify, task.offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
  }
}

/** SBC-4 §5.36. */
export const verify10: CommandDefinition = {
  ...common,
  name: 'VERIFY (10)',
  operationCode: 0x2f,
  usage: [0, DPO | BYTCHK, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt16BE(7), 7),
}

/** SBC-4 §5.37. */
export const verify12: CommandDefinition = {
  ...common,
  name: 'VERIFY (12)',
  operationCode: 0xaf,
  usage: [0, DPO | BYTCHK, ...USAGE_32, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt32BE(6), 6),
}

/** SBC-4 §5.38. */
export const verify16: CommandDefinition = {
  ...common,
  name: 'VERIFY (16)',
  operationCode: 0x8f,
  usage: [0, DPO | BYTCHK, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, readLba64(task.command.cdb, 2), task.command.cdb.readUInt32BE(10), 10),
}
