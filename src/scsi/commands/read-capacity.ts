import { USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { PHYSICAL_BLOCK_BYTES } from '../limits.ts'
import { CommandPhase } from '../scsi-target.ts'

const LBPME = 0x80
const LBPRZ = 0x40

const common = {
  reservation: 'all',
  timeoutSeconds: 10,
  counts: 'other',
  begin: () => CommandPhase.ready,
} as const

/** SBC-4 §5.20. More blocks than 32 bits say are answered with FFFFFFFFh: ask READ CAPACITY (16). */
export const readCapacity10: CommandDefinition = {
  ...common,
  name: 'READ CAPACITY (10)',
  operationCode: 0x25,
  usage: [],
  execute: task => {
    const { sizeBytes, blockSizeBytes } = task.link.unit.volume
    const data = Buffer.alloc(8)
    data.writeUInt32BE(Math.min(sizeBytes / blockSizeBytes - 1, 0xffffffff), 0)
    data.writeUInt32BE(blockSizeBytes, 4)
    task.goodWith(data, data.length)
  },
}

/** SBC-4 §5.21. */
export const readCapacity16: CommandDefinition = {
  ...common,
  name: 'READ CAPACITY (16)',
  operationCode: 0x9e,
  serviceAction: 0x10,
  usage: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...USAGE_32, 0, 0],
  execute: task => {
    const { command } = task
    const { sizeBytes, blockSizeBytes } = task.link.unit.volume
    const data = Buffer.alloc(32)
    data.writeBigUInt64BE(BigInt(sizeBytes / blockSizeBytes - 1), 0)
    data.writeUInt32BE(blockSizeBytes, 8)
    data[13] = Math.log2(PHYSICAL_BLOCK_BYTES / blockSizeBytes)
    data[14] = LBPME | LBPRZ
    task.goodWith(data, command.cdb.readUInt32BE(10))
  },
}
