import { expect, test } from 'vitest'
import { RANGE_BYTES } from '../control/layout.ts'
import {
  FORGOTTEN_SLOTS,
  fateOf,
  type LoggedOperation,
  type OperationLog,
  packOperations,
} from './operation-log.ts'

const BLOCK = 4096
const mine: LoggedOperation = { stream: 7, sequence: 3, offsetBytes: 0, lengthBytes: 2 * BLOCK }
const overlapping: LoggedOperation = { stream: 9, sequence: 1, offsetBytes: BLOCK, lengthBytes: BLOCK }
const elsewhere: LoggedOperation = { ...overlapping, offsetBytes: 5 * BLOCK }

function log(operations: LoggedOperation[], rest: Partial<OperationLog> = {}): OperationLog {
  return { complete: true, operations: packOperations(operations), forgotten: [], ...rest }
}

test.each<[string, string, (OperationLog | null)[][]]>([
  ['on all members', 'carriedOut', [[log([mine, elsewhere]), log([elsewhere, mine])]]],
  ['overwritten on one of them', 'carriedOut', [[log([mine, overlapping]), log([], { complete: false })]]],
  ['on one, and on the other not', 'begun', [[log([overlapping, mine]), log([overlapping])]]],
  ['on none', 'absent', [[log([elsewhere]), log([overlapping])]]],
  ['on none, and one has forgotten everything', 'absent', [[log([]), null]]],
  [
    'on one, and the other has forgotten everything',
    'unknown',
    [[log([mine]), log([], { complete: false })]],
  ],
  ['nobody remembers', 'unknown', [[log([], { complete: false }), null]]],
  ['on all of one range and on none of the next', 'begun', [[log([mine])], [log([])]]],
  ['no member has told anything', 'unknown', [[]]],
])('fate of an operation: %s: %s', (_, fate, logs) => {
  expect(fateOf(mine, logs)).toBe(fate)
})

/** As the owner sends a trim with ragged ends: these first. */
const head: LoggedOperation = { ...mine, lengthBytes: BLOCK }
const rest: LoggedOperation = { ...mine, offsetBytes: BLOCK, lengthBytes: BLOCK }

test.each<[string, string, (OperationLog | null)[][]]>([
  ['all pieces on all members', 'carriedOut', [[log([rest, head]), log([head, head, rest])]]],
  ['one piece on all members, the other on none', 'begun', [[log([head]), log([head])]]],
  ['one piece on all members, the other on one', 'begun', [[log([head, rest]), log([head])]]],
  ['one piece, and others have overwritten it', 'carriedOut', [[log([head, overlapping]), log([head])]]],
  ['one piece, by members that missed some', 'unknown', [[log([head], { complete: false })]]],
])('fate of an operation in pieces: %s: %s', (_, fate, logs) => {
  expect(fateOf(mine, logs)).toBe(fate)
})

test('fate of an operation: of two ranges each member is asked for the part that it has', () => {
  const both = { ...mine, offsetBytes: RANGE_BYTES - BLOCK }
  const first = log([{ ...both, lengthBytes: BLOCK }])
  const second = log([{ ...both, offsetBytes: RANGE_BYTES, lengthBytes: BLOCK }])
  expect(fateOf(both, [[first], [second]])).toBe('carriedOut')
  expect(fateOf(both, [[first], [first]])).toBe('begun')
})

test('fate of an operation: what a log has no room for any more proves nothing', () => {
  const forgotten = Array.from({ length: FORGOTTEN_SLOTS }, () => 0)
  forgotten[mine.stream] = mine.sequence
  expect(fateOf(mine, [[log([elsewhere], { forgotten })]])).toBe('unknown')
  forgotten[mine.stream] = mine.sequence - 1
  expect(fateOf(mine, [[log([elsewhere], { forgotten })]])).toBe('absent')
})
