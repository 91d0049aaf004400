import { BlockKind } from '../../block/block-operation.ts'
import { receivedBlocksBytes, setTransferRange } from '../block-range.ts'
import { DPO, FUA, readLba64, USAGE_32, USAGE_64 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import { good, type Task } from '../task.ts'

const LENGTH_AT = 10

function begin(task: Task): CommandPhase {
  const { command, link } = task
  const { cdb } = command
  const blocks = cdb.readUInt32BE(LENGTH_AT)
  if (!setTransferRange(task, readLba64(cdb, 2), blocks, LENGTH_AT)) return CommandPhase.answered
  task.fua = (cdb[1]! & FUA) !== 0 || !link.unit.modes.writeCacheEnabled
  command.dataOutLength = task.lengthBytes
  return blocks === 0 ? CommandPhase.ready : CommandPhase.needsData
}

function execute(task: Task): void {
  const { command, offsetBytes } = task
  const lengthBytes = receivedBlocksBytes(task)
  if (lengthBytes === 0) return task.good()
  task.retainData()
  task.submit(BlockKind.orWrite, offsetBytes, lengthBytes, command.dataOut, command.dataOutAt, good)
}

/** SBC-4 §5.8. Reading, combining and writing are one operation to everybody else (§4.27). */
export const orWrite16: CommandDefinition = {
  ...WRITES_MEDIUM,
  name: 'ORWRITE (16)',
  operationCode: 0x8b,
  usage: [0, DPO | FUA, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  timeoutSeconds: 30,
  begin,
  execute,
}
