import { BlockKind } from '../../block/block-operation.ts'
import { setRange } from '../block-range.ts'
import { DPO, FUA, readLba64, USAGE_16, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { ATOMIC_WRITE_BLOCKS_MAX } from '../limits.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const LENGTH_AT = 12

function begin(task: Task): CommandPhase {
  const { cdb } = task.command
  const blocks = cdb.readUInt16BE(LENGTH_AT)
  if (!setRange(task, readLba64(cdb, 2), blocks)) return CommandPhase.answered
  if (blocks > ATOMIC_WRITE_BLOCKS_MAX) return task.failField(LENGTH_AT)
  task.fua = (cdb[1]! & FUA) !== 0 || !task.link.unit.modes.writeCacheEnabled
  return task.collect(task.lengthBytes, LENGTH_AT)
}

function execute(task: Task): void {
  const { command, offsetBytes, lengthBytes } = task
  if (lengthBytes === 0) return task.good()
  task.retainData()
  task.submit(BlockKind.writeAtomic, offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
}

/** SBC-4 §5.48. ATOMIC BOUNDARY is refused: VPD page B0h gives no MAXIMUM ATOMIC BOUNDARY SIZE. */
export const writeAtomic16: CommandDefinition = {
  ...WRITES_MEDIUM,
  name: 'WRITE ATOMIC (16)',
  operationCode: 0x9c,
  usage: [0, DPO | FUA, ...USAGE_64, 0, 0, ...USAGE_16, 0x3f, 0],
  timeoutSeconds: 30,
  begin,
  execute,
}
