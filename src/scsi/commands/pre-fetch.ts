import { BlockKind, BlockOperation } from '../../block/block-operation.ts'
import { setRange } from '../block-range.ts'
import { readLba64, USAGE_16, USAGE_32, USAGE_64 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import type { ItlNexus } from '../itl-nexus.ts'
import { PIECE_BYTES, PRE_FETCH_BYTES_MAX } from '../limits.ts'
import { runPieces } from '../pieces.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

const IMMED = 0x02

/** Nexuses with a pre-fetch going on behind a command that has ended: one each bounds the memory. */
const fetching = new WeakSet<ItlNexus>()

const common = {
  reservation: 'read',
  timeoutSeconds: 30,
  counts: 'other',
  execute,
} as const

// A PREFETCH LENGTH of zero reaches to the end of the medium. SBC-4 §5.11.
function begin(task: Task, lba: number, blocks: number): CommandPhase {
  const { volume } = task.link.unit
  const blocksToEnd = Math.max(0, volume.sizeBytes / volume.blockSizeBytes - lba)
  return setRange(task, lba, blocks === 0 ? blocksToEnd : blocks) ? CommandPhase.ready : CommandPhase.answered
}

// The cache is the page cache of the brick, which reading fills. CONDITION MET says that all of it was read (or
// will be), GOOD that only a part is.
function execute(task: Task): void {
  const { command, lengthBytes } = task
  const isImmediate = (command.cdb[1]! & IMMED) !== 0
  const fetchedBytes = isImmediate ? fetchInBackground(task) : Math.min(lengthBytes, PRE_FETCH_BYTES_MAX)
  if (fetchedBytes === lengthBytes) command.status = ScsiStatus.conditionMet
  if (isImmediate || fetchedBytes === 0) return task.good()
  task.lengthBytes = fetchedBytes
  runPieces(task, BlockKind.read, Buffer.allocUnsafe(Math.min(fetchedBytes, PIECE_BYTES)))
}

/** Begins to read as much of the range as one operation takes; answers how many bytes that is. */
function fetchInBackground({ link, offsetBytes, lengthBytes }: Task): number {
  if (lengthBytes === 0 || fetching.has(link)) return 0
  fetching.add(link)
  const operation = new BlockOperation({ blockDone: () => void fetching.delete(link) })
  operation.offsetBytes = offsetBytes
  operation.lengthBytes = Math.min(lengthBytes, PIECE_BYTES)
  operation.data = Buffer.allocUnsafe(operation.lengthBytes)
  link.handle.submit(operation)
  return operation.lengthBytes
}

/** SBC-4 §5.11. */
export const preFetch10: CommandDefinition = {
  ...common,
  name: 'PRE-FETCH (10)',
  operationCode: 0x34,
  usage: [0, IMMED, ...USAGE_32, 0x3f, ...USAGE_16, 0],
  begin: task => begin(task, task.command.cdb.readUInt32BE(2), task.command.cdb.readUInt16BE(7)),
}

/** SBC-4 §5.12. */
export const preFetch16: CommandDefinition = {
  ...common,
  name: 'PRE-FETCH (16)',
  operationCode: 0x90,
  usage: [0, IMMED, ...USAGE_64, ...USAGE_32, 0x3f, 0],
  begin: task => begin(task, readLba64(task.command.cdb, 2), task.command.cdb.readUInt32BE(10)),
}
