import { BlockKind } from '../../block/block-operation.ts'
import { readLba64, USAGE_16 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX } from '../limits.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'

/** UNMAP parameter list. SBC-4 §5.35.2. */
const HEADER_BYTES = 8
const DESCRIPTOR_DATA_LENGTH_AT = 2
const DESCRIPTOR_BYTES = 16
const BLOCKS_AT = 8

// Every descriptor is checked before the first takes effect.
function execute(task: Task): void {
  const { command, link } = task
  const { volume, modes } = link.unit
  const list = command.dataOut.subarray(command.dataOutAt, command.dataOutAt + command.dataOutReceived)
  if (command.dataOutLength === 0) return task.good()
  if (list.length < HEADER_BYTES) return void task.fail(Sense.parameterListLengthError)
  const descriptorsLength = list.readUInt16BE(DESCRIPTOR_DATA_LENGTH_AT)
  const count = Math.floor(descriptorsLength / DESCRIPTOR_BYTES)
  const end = HEADER_BYTES + count * DESCRIPTOR_BYTES
  if (end > list.length) return void task.fail(Sense.parameterListLengthError)
  if (count > UNMAP_DESCRIPTORS_MAX) return void task.failParameter(DESCRIPTOR_DATA_LENGTH_AT)
  let total = 0
  for (let at = HEADER_BYTES; at < end; at += DESCRIPTOR_BYTES) {
    const blocks = list.readUInt32BE(at + BLOCKS_AT)
    total += blocks
    if ((readLba64(list, at) + blocks) * volume.blockSizeBytes > volume.sizeBytes) {
      return void task.fail(Sense.logicalBlockAddressOutOfRange)
    }
    if (total > UNMAP_BLOCKS_MAX) return void task.failParameter(at + BLOCKS_AT)
  }
  task.fua = !modes.writeCacheEnabled
  task.scratch = Buffer.from(list.subarray(HEADER_BYTES, end))
  task.doneBytes = 0
  unmapNext(task)
}

/**
 * Trims what the next descriptor names, and those after it that go on where it ends, in one operation;
 * `doneBytes` counts through the descriptors in `scratch`.
 */
function unmapNext(task: Task): void {
  const descriptors = task.scratch!
  const { blockSizeBytes } = task
  let lba = 0
  let blocks = 0
  for (; task.doneBytes < descriptors.length; task.doneBytes += DESCRIPTOR_BYTES) {
    const nextLba = readLba64(descriptors, task.doneBytes)
    if (blocks > 0 && nextLba !== lba + blocks) break
    if (blocks === 0) lba = nextLba
    blocks += descriptors.readUInt32BE(task.doneBytes + BLOCKS_AT)
  }
  if (blocks === 0) return task.good()
  task.submit(BlockKind.trim, lba * blockSizeBytes, blocks * blockSizeBytes, null, 0, unmapNext)
}

/** SBC-4 §5.35. ANCHOR is refused: there is no anchored state here. */
export const unmap: CommandDefinition = {
  name: 'UNMAP',
  operationCode: 0x42,
  usage: [0, 0, 0, 0, 0, 0, 0x3f, ...USAGE_16, 0],
  reservation: 'write',
  writes: true,
  timeoutSeconds: 60,
  counts: 'other',
  begin: task => {
    const { command } = task
    command.dataOutLength = command.cdb.readUInt16BE(7)
    return command.dataOutLength === 0 ? CommandPhase.ready : CommandPhase.needsData
  },
  execute,
}
