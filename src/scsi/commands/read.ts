import { BlockKind } from '../../block/block-operation.ts'
import { setTransferRange } from '../block-range.ts'
import { DPO, FUA, readLba21, readLba64, USAGE_8, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

// SBC-4 §5.14-5.18. Protection information is not supported: RDPROTECT must be zero.

const common = {
  reservation: 'read',
  timeoutSeconds: 30,
  counts: 'read',
  execute,
} as const

function begin(task: Task, lba: number, blocks: number, lengthAt: number, fua: boolean): CommandPhase {
  if (!setTransferRange(task, lba, blocks, lengthAt)) return CommandPhase.answered
  task.fua = fua
  return CommandPhase.ready
}

function execute(task: Task): void {
  // SBC-4 §4.15: with FUA, what the volatile cache holds of the range goes to the medium first.
  if (task.fua) task.submit(BlockKind.flush, 0, 0, null, 0, stream)
  else task.stream()
}

function stream(task: Task): void {
  task.stream()
}

/** SBC-4 §5.14. A TRANSFER LENGTH of zero means 256 blocks. */
export const read6: CommandDefinition = {
  ...common,
  name: 'READ (6)',
  operationCode: 0x08,
  usage: [0, 0x1f, ...USAGE_16, ...USAGE_8, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, readLba21(cdb), cdb[4] === 0 ? 256 : cdb[4]!, 4, false)
  },
}

/** SBC-4 §5.15. */
export const read10: CommandDefinition = {
  ...common,
  name: 'READ (10)',
  operationCode: 0x28,
  usage: [0, DPO | FUA, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, cdb.readUInt32BE(2), cdb.readUInt16BE(7), 7, (cdb[1]! & FUA) !== 0)
  },
}

/** SBC-4 §5.16. */
export const read12: CommandDefinition = {
  ...common,
  name: 'READ (12)',
  operationCode: 0xa8,
  usage: [0, DPO | FUA, ...USAGE_32, ...USAGE_32, 0x3f, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, cdb.readUInt32BE(2), cdb.readUInt32BE(6), 6, (cdb[1]! & FUA) !== 0)
  },
}

/** SBC-4 §5.17. */
export const read16: CommandDefinition = {
  ...common,
  name: 'READ (16)',
  operationCode: 0x88,
  usage: [0, DPO | FUA, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => {
    const { cdb } = task.command
    return begin(task, readLba64(cdb, 2), cdb.readUInt32BE(10), 10, (cdb[1]! & FUA) !== 0)
  },
}
