import type { BlockExtent } from '../../block/block-device.ts'
import { blockStatusOf } from '../../errors/block-causes.ts'
import { setRange } from '../block-range.ts'
import { readLba64, USAGE_8, USAGE_32, USAGE_64 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

const LBA_AT = 2
const ALLOCATION_LENGTH_AT = 10
const REPORT_TYPE_AT = 14
const REPORT_ALL_BLOCKS = 0

const HEADER_BYTES = 8
const DESCRIPTOR_BYTES = 16
const MAPPED = 0
const DEALLOCATED = 1
/** One answer looks at no more of the volume than this; initiators ask on from where it ends. */
const LOOKED_AT_BYTES_MAX = 256 * 1024 * 1024

/** SBC-4 §5.6: which blocks hold data and which are deallocated, from an LBA on. */
export const getLbaStatus16: CommandDefinition = {
  name: 'GET LBA STATUS (16)',
  operationCode: 0x9e,
  serviceAction: 0x12,
  usage: [0, 0, ...USAGE_64, ...USAGE_32, ...USAGE_8, 0],
  reservation: 'read',
  timeoutSeconds: 30,
  counts: 'other',
  begin: task => {
    const { cdb } = task.command
    if (cdb[REPORT_TYPE_AT] !== REPORT_ALL_BLOCKS) return task.failField(REPORT_TYPE_AT)
    return setRange(task, readLba64(cdb, LBA_AT), 1) ? CommandPhase.ready : CommandPhase.answered
  },
  execute: task => {
    const { handle } = task.link
    const lengthBytes = Math.min(handle.sizeBytes - task.offsetBytes, LOOKED_AT_BYTES_MAX)
    handle.extents(task.offsetBytes, lengthBytes).then(
      extents => answer(task, extents),
      error => task.failBlock(blockStatusOf(error), 0),
    )
  },
}

function answer(task: Task, extents: readonly BlockExtent[]): void {
  const allocationLength = task.command.cdb.readUInt32BE(ALLOCATION_LENGTH_AT)
  const room = Math.max(1, Math.floor((allocationLength - HEADER_BYTES) / DESCRIPTOR_BYTES))
  const told = extents.slice(0, room)
  const data = Buffer.alloc(HEADER_BYTES + told.length * DESCRIPTOR_BYTES)
  data.writeUInt32BE(data.length - 4, 0)
  told.forEach(({ offsetBytes, lengthBytes, mapped }, index) => {
    const at = HEADER_BYTES + index * DESCRIPTOR_BYTES
    data.writeBigUInt64BE(BigInt(offsetBytes / task.blockSizeBytes), at)
    data.writeUInt32BE(lengthBytes / task.blockSizeBytes, at + 8)
    data[at + 12] = mapped ? MAPPED : DEALLOCATED
  })
  task.goodWith(data, allocationLength)
}
