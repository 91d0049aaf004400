import { USAGE_8, USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import {
  COPIES_MAX,
  COPY_RESULTS_MAX,
  CSCD_DESCRIPTORS_MAX,
  CSCD_IDENTIFICATION,
  DESCRIPTOR_LIST_BYTES_MAX,
  SEGMENT_BLOCK_TO_BLOCK,
  SEGMENT_BYTES_MAX,
  SEGMENT_DESCRIPTORS_MAX,
} from '../copy/copy-limits.ts'
import type { CopyResult } from '../copy/copy-results.ts'
import { CommandPhase } from '../scsi-target.ts'
import type { Task } from '../task.ts'

const LIST_ID_AT = 2
const ALLOCATION_LENGTH_AT = 10

const MANAGER_STATUS = { running: 0x00, done: 0x01, failed: 0x02 } as const
const HDD = 0x80
const UNITS_OF_BYTES = 0
const UNITS_OF_KIB = 1
const KIB = 1024
const COUNT_MAX = 0xffffffff

/** SPC-5 §6.24. Nothing is held back for the initiator (HDD): the data is where it was copied to. */
function copyStatus({ state, segmentsDone, copiedBytes }: CopyResult): Buffer {
  const data = Buffer.alloc(12)
  data.writeUInt32BE(data.length - 4, 0)
  data[4] = (state === 'running' ? 0 : HDD) | MANAGER_STATUS[state]
  data.writeUInt16BE(segmentsDone, 5)
  const inKib = copiedBytes > COUNT_MAX
  data[7] = inKib ? UNITS_OF_KIB : UNITS_OF_BYTES
  data.writeUInt32BE(inKib ? Math.floor(copiedBytes / KIB) : copiedBytes, 8)
  return data
}

/** SPC-5 §6.26: status and sense of a copy that failed, and no data for one that did not. */
function failedSegmentDetails({ failure }: CopyResult): Buffer {
  if (failure === null) return Buffer.alloc(4)
  const data = Buffer.alloc(60 + failure.sense.length)
  data.writeUInt32BE(data.length - 4, 0)
  data[56] = failure.status
  data.writeUInt16BE(failure.sense.length, 58)
  failure.sense.copy(data, 60)
  return data
}

/** Data segments of any number of bytes. */
const GRANULARITY_LOG2 = 0

/** SPC-5 §6.25. */
function operatingParameters(): Buffer {
  const implemented = [SEGMENT_BLOCK_TO_BLOCK, CSCD_IDENTIFICATION]
  const data = Buffer.alloc(44 + implemented.length)
  data.writeUInt32BE(data.length - 4, 0)
  data.writeUInt16BE(CSCD_DESCRIPTORS_MAX, 8)
  data.writeUInt16BE(SEGMENT_DESCRIPTORS_MAX, 10)
  data.writeUInt32BE(DESCRIPTOR_LIST_BYTES_MAX, 12)
  data.writeUInt32BE(SEGMENT_BYTES_MAX, 16)
  data.writeUInt16BE(COPY_RESULTS_MAX, 34)
  data[36] = COPIES_MAX
  data[37] = GRANULARITY_LOG2
  data[43] = implemented.length
  data.set(implemented, 44)
  return data
}

function ofCopy(encode: (result: CopyResult) => Buffer): (task: Task) => Buffer | null {
  return task => {
    const result = task.link.copies.find(task.command.cdb[LIST_ID_AT]!)
    return result === undefined ? null : encode(result)
  }
}

function define(
  name: string,
  serviceAction: number,
  answer: (task: Task) => Buffer | null,
): CommandDefinition {
  return {
    name,
    operationCode: 0x84,
    serviceAction,
    usage: [0, 0, ...USAGE_8, 0, 0, 0, 0, 0, 0, 0, ...USAGE_32, 0, 0],
    reservation: 'write',
    withoutMedium: true,
    timeoutSeconds: 10,
    counts: 'other',
    begin: () => CommandPhase.ready,
    execute: task => {
      const data = answer(task)
      if (data === null) return void task.failField(LIST_ID_AT)
      task.goodWith(data, task.command.cdb.readUInt32BE(ALLOCATION_LENGTH_AT))
    },
  }
}

/** RECEIVE COPY RESULTS, as SPC-3 had the four as one command. */
export const receiveCopyResultsCommands: readonly CommandDefinition[] = [
  define('RECEIVE COPY STATUS (LID1)', 0x00, ofCopy(copyStatus)),
  define('RECEIVE COPY OPERATING PARAMETERS', 0x03, operatingParameters),
  define('RECEIVE COPY FAILURE DETAILS (LID1)', 0x04, ofCopy(failedSegmentDetails)),
]
