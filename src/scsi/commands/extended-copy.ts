import { BlockStatus } from '../../block/block-status.ts'
import { USAGE_32 } from '../cdb.ts'
import type { CommandDefinition } from '../command-definition.ts'
import { COPIES_MAX } from '../copy/copy-limits.ts'
import { COPY_PARAMETERS_BYTES_MAX, type CopyRequest, decodeCopy } from '../copy/copy-parameters.ts'
import { planSegment } from '../copy/copy-plan.ts'
import type { CopyResult } from '../copy/copy-results.ts'
import { CopyRun } from '../copy/copy-run.ts'
import { ScsiStatus } from '../scsi-command.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense, type SenseCode } from '../sense.ts'
import type { Task } from '../task.ts'

const LENGTH_AT = 10

function begin(task: Task): CommandPhase {
  const { command } = task
  const lengthBytes = command.cdb.readUInt32BE(LENGTH_AT)
  if (lengthBytes > COPY_PARAMETERS_BYTES_MAX) return task.fail(Sense.parameterListLengthError)
  command.dataOutLength = lengthBytes
  return lengthBytes === 0 ? CommandPhase.ready : CommandPhase.needsData
}

function execute(task: Task): void {
  const { command, link } = task
  if (command.dataOutLength === 0) return task.good()
  const { dataOut, dataOutAt, dataOutReceived } = command
  const decoded = decodeCopy(dataOut.subarray(dataOutAt, dataOutAt + dataOutReceived))
  if ('refused' in decoded) {
    const { refused, byte } = decoded
    return void task.fail(refused, byte === undefined ? {} : { field: { inCdb: false, byte } })
  }
  if (link.unit.copiesRunning >= COPIES_MAX) return void task.failStatus(ScsiStatus.busy)
  const result = link.copies.begin(decoded.request.listId)
  if (result === null) return void task.fail(Sense.operationInProgress)
  link.unit.copiesRunning += 1
  void copy(task, decoded.request, result)
}

async function copy(task: Task, request: CopyRequest, result: CopyResult): Promise<void> {
  const { command, link } = task
  const run = new CopyRun(bytes => {
    result.copiedBytes += bytes
  })
  task.onAbort = () => run.cancel()
  const refused = await copySegments(task, request, result, run)
  link.unit.copiesRunning -= 1
  if (task.isAborting) {
    link.copies.forget(result)
    return task.good()
  }
  result.state = refused === null ? 'done' : 'failed'
  if (refused === null) return task.good()
  task.fail(refused)
  result.failure = {
    status: command.status,
    sense: Buffer.from(command.sense.subarray(0, command.senseLength)),
  }
}

/** Answers what the command fails with, or null. What was copied before stays. SPC-5 §6.4.3.6. */
async function copySegments(
  task: Task,
  request: CopyRequest,
  result: CopyResult,
  run: CopyRun,
): Promise<SenseCode | null> {
  for (const segment of request.segments) {
    const planned = planSegment(task.link, request, segment)
    if ('refused' in planned) return planned.refused
    const status = await run.copy(planned.range)
    if (task.isAborting) return null
    if (status === BlockStatus.noSpace) return Sense.spaceAllocationFailed
    if (status !== BlockStatus.ok) return Sense.thirdPartyDeviceFailure
    result.segmentsDone += 1
  }
  return null
}

/** SPC-5 §6.4: EXTENDED COPY with a LIST IDENTIFIER of one byte, between the units of one initiator. */
export const extendedCopyLid1: CommandDefinition = {
  name: 'EXTENDED COPY (LID1)',
  operationCode: 0x83,
  serviceAction: 0x00,
  usage: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...USAGE_32, 0, 0],
  reservation: 'write',
  timeoutSeconds: 120,
  counts: 'other',
  begin,
  execute,
}
