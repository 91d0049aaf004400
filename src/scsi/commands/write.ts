import { BlockKind } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { receivedBlocksBytes, setTransferRange } from '../block-range.ts'
import { DPO, FUA, readLba21, readLba64, USAGE_8, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

// SBC-4 §5.39-5.43. Protection information is not supported: WRPROTECT must be zero.

const common = {
  ...WRITES_MEDIUM,
  timeoutSeconds: 30,
  execute,
} as const

function begin(task: Task, lba: number, blocks: number, lengthAt: number, fua: boolean): CommandPhase {
  if (!setTransferRange(task, lba, blocks, lengthAt)) return CommandPhase.answered
  task.fua = fua || !task.link.unit.modes.writeCacheEnabled
  task.command.dataOutLength = task.lengthBytes
  return blocks === 0 ? CommandPhase.ready : CommandPhase.needsData
}

function execute(task: Task): void {
  const { command, link, offsetBytes } = task
  const { handle } = link
  const lengthBytes = receivedBlocksBytes(task)
  if (lengthBytes === 0) return task.good()
  if (!task.fua) {
    const status = handle.writeNow(offsetBytes, lengthBytes, command.dataOut, command.dataOutAt)
    if (status === BlockStatus.ok) return task.good()
    if (status !== BlockStatus.wouldBlock) return task.failBlock(status, handle.failedAtBytes)
  }
  task.retainData()
  task.submit(BlockKind.write, offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
}

/** SBC-4 §5.39. A TRANSFER LENGTH of zero means 256 blocks. */
export const write6: CommandDefinition = {
  ...common,
  name: 'WRITE (6)',
  operationCode: 0x0a,
  usage: [0, 0x1f, ...USAGE_16, ...USAGE_8, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, readLba21(cdb), cdb[4] === 0 ? 256 : cdb[4]!, 4, false)
  },
}

/** SBC-4 §5.40. */
export const write10: CommandDefinition = {
  ...common,
  name: 'WRITE (10)',
  operationCode: 0x2a,
  usage: [0, DPO | FUA, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, cdb.readUInt32BE(2), cdb.readUInt16BE(7), 7, (cdb[1]! & FUA) !== 0)
  },
}

/** SBC-4 §5.41. */
export const write12: CommandDefinition = {
  ...common,
  name: 'WRITE (12)',
  operationCode: 0xaa,
  usage: [0, DPO | FUA, ...USAGE_32, ...USAGE_32, 0x3f, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, cdb.readUInt32BE(2), cdb.readUInt32BE(6), 6, (cdb[1]! & FUA) !== 0)
  },
}

/** SBC-4 §5.42. */
export const write16: CommandDefinition = {
  ...common,
  name: 'WRITE (16)',
  operationCode: 0x8a,
  usage: [0, DPO | FUA, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, readLba64(cdb, 2), cdb.readUInt32BE(10), 10, (cdb[1]! & FUA) !== 0)
  },
}
