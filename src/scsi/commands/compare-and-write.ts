import { BlockKind } from '../../block/block-operation.ts'
import { setRange } from '../block-range.ts'
import { DPO, FUA, readLba64, USAGE_8, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const BLOCKS_AT = 13

function begin(task: Task): CommandPhase {
  const { cdb } = task.command
  const blocks = cdb[BLOCKS_AT]!
  if (!setRange(task, readLba64(cdb, 2), blocks)) return CommandPhase.answered
  task.fua = (cdb[1]! & FUA) !== 0 || !task.link.unit.modes.writeCacheEnabled
  return task.collect(2 * task.lengthBytes, BLOCKS_AT)
}

function execute(task: Task): void {
  const { command, offsetBytes, lengthBytes } = task
  if (lengthBytes === 0) return task.good()
  task.retainData()
  task.submit(BlockKind.compareAndWrite, offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
}

/** SBC-4 §5.3. The field's eight bits are the limit that VPD page B0h gives. */
export const compareAndWrite: CommandDefinition = {
  ...WRITES_MEDIUM,
  name: 'COMPARE AND WRITE',
  operationCode: 0x89,
  usage: [0, DPO | FUA, ...USAGE_64, 0, 0, 0, ...USAGE_8, 0x3f, 0],
  timeoutSeconds: 30,
  begin,
  execute,
}
