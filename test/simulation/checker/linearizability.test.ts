import { expect, test } from 'vitest'
import { type CellOperation, findContradiction } from './linearizability.ts'

const NEVER = Number.POSITIVE_INFINITY

function operation(
  kind: CellOperation['kind'],
  value: number,
  invokedMs: number,
  respondedMs: number,
  more: Partial<CellOperation> = {},
): CellOperation {
  return {
    kind,
    value,
    invokedMs,
    respondedMs,
    isMaybe: respondedMs === NEVER,
    closedMs: NEVER,
    expected: 0,
    label: `${kind} ${value}`,
    ...more,
  }
}
const write = (...args: [number, number, number, Partial<CellOperation>?]) => operation('write', ...args)
const read = (...args: [number, number, number]) => operation('read', ...args)

test.each<[string, CellOperation[], boolean]>([
  ['a read sees the write before it', [write(1, 0, 1), read(1, 2, 3)], true],
  [
    'a read does not see what was overwritten before it began',
    [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    false,
  ],
  ['a read beside a write sees either', [write(1, 0, 1), write(2, 2, 5), read(1, 3, 4)], true],
  [
    'reads beside a write never go back',
    [write(1, 0, 1), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)],
    false,
  ],
  ['an unanswered write may count late', [write(1, 0, NEVER), read(0, 1, 2), read(1, 3, 4)], true],
  ['an unanswered write that was read stays', [write(1, 0, NEVER), read(1, 1, 2), read(0, 3, 4)], false],
  [
    'an unanswered write counts at most once',
    [write(1, 0, NEVER), write(2, 1, 2), read(1, 3, 4), write(3, 5, 6), read(1, 7, 8)],
    false,
  ],
  [
    'a write of a dead stream may have counted before its end',
    [write(1, 0, NEVER, { closedMs: 3 }), read(1, 4, 5)],
    true,
  ],
  [
    'a write of a dead stream does not begin to count after its end',
    [write(1, 0, NEVER, { closedMs: 3 }), read(0, 4, 5), read(1, 6, 7)],
    false,
  ],
  [
    'compare and write needs what it compared with',
    [operation('compareAndWrite', 2, 0, 1, { expected: 1 })],
    false,
  ],
  [
    'compare and write beside a write',
    [write(1, 0, 5), operation('compareAndWrite', 2, 1, 6, { expected: 1 }), read(2, 7, 8)],
    true,
  ],
  [
    'a loss goes back to what was allowed',
    [write(1, 0, 1), operation('loss', 0, 2, 3, { allowed: new Set([0, 1]) }), read(0, 4, 5)],
    true,
  ],
  [
    'a loss does not go back to anything else',
    [write(1, 0, 1), operation('loss', 0, 2, 3, { allowed: new Set([1]) }), read(0, 4, 5)],
    false,
  ],
  [
    'two reads after an unanswered write and its end',
    [write(1, 0, NEVER, { closedMs: 2 }), write(2, 3, 4), read(1, 5, 6)],
    false,
  ],
])('history: %s', (_name, operations, isFine) => {
  expect(findContradiction(operations, 0) === null).toBe(isFine)
})
