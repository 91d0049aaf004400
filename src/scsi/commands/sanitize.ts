import { causes } from '../../errors/causes.ts'
import type { SanitizeOrder } from '../../volume/sanitize/sanitize-state.ts'
import { USAGE_16 } from '../cdb.ts'
import { type CommandDefinition, WRITES_MEDIUM } from '../command-definition.ts'
import { sanitizeRefusal } from '../sanitize-refusal.ts'
import { CommandPhase } from '../scsi-target.ts'
import { Sense } from '../sense.ts'
import type { Task } from '../task.ts'

const IMMED = 0x80
const AUSE = 0x20
const LENGTH_AT = 7

/** OVERWRITE parameter list. SBC-4 §5.30.2.2. */
const LIST_AT = { flags: 0, patternLength: 2, pattern: 4 } as const
const INVERT = 0x80
const TEST = 0x60
const OVERWRITE_COUNT = 0x1f

function beginOverwrite(task: Task): CommandPhase {
  const lengthBytes = task.command.cdb.readUInt16BE(LENGTH_AT)
  if (lengthBytes <= LIST_AT.pattern || lengthBytes > LIST_AT.pattern + task.blockSizeBytes) {
    return task.failField(LENGTH_AT)
  }
  return task.collect(lengthBytes, LENGTH_AT)
}

function beginWithoutData(task: Task): CommandPhase {
  return task.command.cdb.readUInt16BE(LENGTH_AT) === 0 ? CommandPhase.ready : task.failField(LENGTH_AT)
}

function overwrite(task: Task): void {
  const { dataOut, dataOutAt } = task.command
  const list = dataOut.subarray(dataOutAt, dataOutAt + task.command.dataOutLength)
  const flags = list[LIST_AT.flags]!
  const passes = flags & OVERWRITE_COUNT
  const patternBytes = list.readUInt16BE(LIST_AT.patternLength)
  if ((flags & TEST) !== 0) return void task.failParameter(LIST_AT.flags, 6)
  if (passes === 0) return void task.failParameter(LIST_AT.flags, 4)
  if (patternBytes === 0 || patternBytes > task.blockSizeBytes) {
    return void task.failParameter(LIST_AT.patternLength)
  }
  if (LIST_AT.pattern + patternBytes > list.length) return void task.fail(Sense.parameterListLengthError)
  // Each block begins with the first byte of the pattern.
  const pattern = Buffer.alloc(
    task.blockSizeBytes,
    list.subarray(LIST_AT.pattern, LIST_AT.pattern + patternBytes),
  )
  start(task, { method: 'overwrite', pattern, passes, inverts: (flags & INVERT) !== 0 })
}

const NO_PATTERN = Buffer.alloc(0)

function blockErase(task: Task): void {
  start(task, { method: 'blockErase', pattern: NO_PATTERN, passes: 1, inverts: false })
}

function start(task: Task, order: Omit<SanitizeOrder, 'unrestrictedExit'>): void {
  const { sanitization } = task.link.unit.volume
  const flags = task.command.cdb[1]!
  // Once it has begun it goes on whatever becomes of the command that asked for it.
  task.onAbort = () => task.good()
  const started = sanitization.start({ ...order, unrestrictedExit: (flags & AUSE) !== 0 })
  whenSettled(task, started, hasStarted => {
    if (!hasStarted) return void task.fail(causes.ERR_BLOCK_SANITIZING.sense)
    if ((flags & IMMED) !== 0) return task.good()
    whenSettled(task, sanitization.whenEnded(), () => {
      const refusal = sanitizeRefusal(task.link.unit)
      if (refusal === null) task.good()
      else task.fail(refusal.code, refusal.details)
    })
  })
}

/** Goes on with the command, unless it was taken back meanwhile; a rejection means the metadata does not answer. */
function whenSettled<T>(task: Task, promise: Promise<T>, next: (value: T) => void): void {
  let isOver = false
  const { onAbort } = task
  task.onAbort = () => {
    isOver = true
    onAbort?.()
  }
  promise.then(
    value => {
      if (!isOver) next(value)
    },
    () => {
      if (!isOver) task.fail(causes.ERR_BLOCK_UNAVAILABLE.sense)
    },
  )
}

function exitFailureMode(task: Task): void {
  task.onAbort = () => task.good()
  whenSettled(task, task.link.unit.volume.sanitization.exitFailureMode(), isOver => {
    if (isOver) task.good()
    else task.failField(1, 4)
  })
}

const common = { ...WRITES_MEDIUM, operationCode: 0x48, duringSanitize: 'failed', counts: 'other' } as const

/** A day: the standard has no command that takes longer. SBC-4 §5.30. Cryptographic erase needs encryption. */
const TIMEOUT_SECONDS = 24 * 60 * 60

export const sanitizeCommands: readonly CommandDefinition[] = [
  {
    ...common,
    name: 'SANITIZE, OVERWRITE',
    serviceAction: 0x01,
    usage: [0, IMMED | AUSE, 0, 0, 0, 0, 0, ...USAGE_16, 0],
    timeoutSeconds: TIMEOUT_SECONDS,
    begin: beginOverwrite,
    execute: overwrite,
  },
  {
    ...common,
    name: 'SANITIZE, BLOCK ERASE',
    serviceAction: 0x02,
    usage: [0, IMMED | AUSE, 0, 0, 0, 0, 0, ...USAGE_16, 0],
    timeoutSeconds: TIMEOUT_SECONDS,
    begin: beginWithoutData,
    execute: blockErase,
  },
  {
    ...common,
    name: 'SANITIZE, EXIT FAILURE MODE',
    serviceAction: 0x1f,
    usage: [0, IMMED | AUSE, 0, 0, 0, 0, 0, ...USAGE_16, 0],
    timeoutSeconds: 30,
    begin: beginWithoutData,
    execute: exitFailureMode,
  },
]
