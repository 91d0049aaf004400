import { BlockKind } from '../../block/block-operation.ts'
import { receivedBlocksBytes, setTransferRange } from '../block-range.ts'
import { DPO, readLba64, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { PIECE_BYTES } from '../limits.ts'
import { runPieces } from '../pieces.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

/** BYTCHK: 00b reads the blocks back, 01b compares them with the data-out too, the rest is reserved. */
const BYTCHK = 0x06
const COMPARE = 0x02

const common = {
  ...WRITES_MEDIUM,
  timeoutSeconds: 60,
  execute,
} as const

function begin(task: Task, lba: number, blocks: number, lengthAt: number): CommandPhase {
  if ((task.command.cdb[1]! & BYTCHK) > COMPARE) return task.failField(1, 2)
  if (!setTransferRange(task, lba, blocks, lengthAt)) return CommandPhase.answered
  // What is verified is what the medium holds, not a volatile cache. SBC-4 §4.15.
  task.fua = true
  task.command.dataOutLength = task.lengthBytes
  return blocks === 0 ? CommandPhase.ready : CommandPhase.needsData
}

function execute(task: Task): void {
  const { command, offsetBytes } = task
  task.lengthBytes = receivedBlocksBytes(task)
  if (task.lengthBytes === 0) return task.good()
  task.retainData()
  task.submit(BlockKind.write, offsetBytes, task.lengthBytes, command.dataOut, command.dataOutAt, verify)
}

function verify(task: Task): void {
  const { command, offsetBytes, lengthBytes } = task
  if ((command.cdb[1]! & BYTCHK) === COMPARE) {
    return task.submit(BlockKind.verify, offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
  }
  runPieces(task, BlockKind.read, Buffer.allocUnsafe(Math.min(lengthBytes, PIECE_BYTES)))
}

/** SBC-4 §5.44. */
export const writeAndVerify10: CommandDefinition = {
  ...common,
  name: 'WRITE AND VERIFY (10)',
  operationCode: 0x2e,
  usage: [0, DPO | BYTCHK, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt16BE(7), 7),
}

/** SBC-4 §5.45. */
export const writeAndVerify12: CommandDefinition = {
  ...common,
  name: 'WRITE AND VERIFY (12)',
  operationCode: 0xae,
  usage: [0, DPO | BYTCHK, ...USAGE_32, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt32BE(6), 6),
}

/** SBC-4 §5.46. */
export const writeAndVerify16: CommandDefinition = {
  ...common,
  name: 'WRITE AND VERIFY (16)',
  operationCode: 0x8e,
  usage: [0, DPO | BYTCHK, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, readLba64(task.command.cdb, 2), task.command.cdb.readUInt32BE(10), 10),
}
