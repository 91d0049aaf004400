import { BlockKind } from '../../block/block-operation.ts'
import { setRange } from '../block-range.ts'
import { readLba64, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { PIECE_BYTES, WRITE_SAME_BYTES_MAX } from '../limits.ts'
import { repeatBlock, runPieces } from '../pieces.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const UNMAP = 0x08
/** NO DATA-OUT BUFFER: a block of zeroes is written. */
const NDOB = 0x01

const common = {
  ...WRITES_MEDIUM,
  timeoutSeconds: 60,
  execute,
} as const

function begin(task: Task, lba: number, blocks: number, lengthAt: number): CommandPhase {
  const { volume, modes } = task.link.unit
  // WSNZ=0: a NUMBER OF LOGICAL BLOCKS of zero reaches to the end of the medium. SBC-4 §5.46.
  const blocksToEnd = Math.max(0, volume.sizeBytes / volume.blockSizeBytes - lba)
  if (!setRange(task, lba, blocks === 0 ? blocksToEnd : blocks)) return CommandPhase.answered
  if (task.lengthBytes > WRITE_SAME_BYTES_MAX) return task.failField(lengthAt)
  task.fua = !modes.writeCacheEnabled
  return hasNoData(task) ? CommandPhase.ready : task.collect(task.blockSizeBytes, lengthAt)
}

function hasNoData(task: Task): boolean {
  return (task.command.cdb[1]! & NDOB) !== 0
}

// With UNMAP, each block is unmapped whatever the data-out holds, and reads as zeroes. SBC-4 §5.45, table 93.
function execute(task: Task): void {
  const { command, offsetBytes, lengthBytes } = task
  const { cdb, dataOut, dataOutAt } = command
  if (lengthBytes === 0) return task.good()
  if ((cdb[1]! & UNMAP) !== 0) return task.submit(BlockKind.trim, offsetBytes, lengthBytes, null, 0, good)
  const block = dataOut.subarray(dataOutAt, dataOutAt + task.blockSizeBytes)
  if (hasNoData(task) || isZero(block)) {
    return task.submit(BlockKind.zero, offsetBytes, lengthBytes, null, 0, good)
  }
  runPieces(task, BlockKind.write, repeatBlock(block, lengthBytes, PIECE_BYTES))
}

function isZero(block: Buffer): boolean {
  return block[0] === 0 && block.compare(block, 0, block.length - 1, 1) === 0
}

/** SBC-4 §5.45. ANCHOR is refused: there is no anchored state here. */
export const writeSame10: CommandDefinition = {
  ...common,
  name: 'WRITE SAME (10)',
  operationCode: 0x41,
  usage: [0, UNMAP, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt16BE(7), 7),
}

/** SBC-4 §5.46. */
export const writeSame16: CommandDefinition = {
  ...common,
  name: 'WRITE SAME (16)',
  operationCode: 0x93,
  usage: [0, UNMAP | NDOB, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, readLba64(task.command.cdb, 2), task.command.cdb.readUInt32BE(10), 10),
}
