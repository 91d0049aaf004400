import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { BlockStatus } from '../../block/block-status.ts'
import { senseOf } from '../block-failure.ts'
import { setRange } from '../block-range.ts'
import { readLba64, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const IMMED = 0x02
/** Obsolete; asks for less than every flush does. SBC-3 §5.22. */
const SYNC_NV = 0x04

const common = {
  reservation: 'write',
  timeoutSeconds: 60,
  counts: 'other',
  execute,
} as const

function begin(task: Task, lba: number, blocks: number): CommandPhase {
  return setRange(task, lba, blocks) ? CommandPhase.ready : CommandPhase.answered
}

// A flush is of the whole volume: that covers the range asked for, and is what group commit makes cheap.
function execute(task: Task): void {
  if ((task.command.cdb[1]! & IMMED) === 0) return task.submit(BlockKind.flush, 0, 0, null, 0, good)
  flushInBackground(task)
  task.good()
}

/** After IMMED the command is gone before its flush ends: a failure becomes a deferred error. SPC-5 §4.4.6. */
function flushInBackground({ link }: Task): void {
  const operation = new BlockOperation({
    blockDone: ({ status }) => {
      if (status !== BlockStatus.ok && status !== BlockStatus.aborted) link.deferredError = senseOf(status)
    },
  })
  operation.kind = BlockKind.flush
  link.handle.submit(operation)
}

/** SBC-4 §5.33. NUMBER OF BLOCKS zero means to the end. */
export const synchronizeCache10: CommandDefinition = {
  ...common,
  name: 'SYNCHRONIZE CACHE (10)',
  operationCode: 0x35,
  usage: [0, SYNC_NV | IMMED, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt16BE(7)),
}

/** SBC-4 §5.34. */
export const synchronizeCache16: CommandDefinition = {
  ...common,
  name: 'SYNCHRONIZE CACHE (16)',
  operationCode: 0x91,
  usage: [0, SYNC_NV | IMMED, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, readLba64(task.command.cdb, 2), task.command.cdb.readUInt32BE(10)),
}
