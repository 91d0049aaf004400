import { expect, test } from 'vitest'
import { RANGE_BYTES } from '../../control/layout.ts'
import { type LoggedOperation, type OperationLog, packOperations } from '../operation-log.ts'
import { FormerOperations } from './former-operations.ts'

const WRITE: LoggedOperation = { stream: 3, sequence: 9, offsetBytes: 8192, lengthBytes: 4096 }

function logOf(...operations: LoggedOperation[]): OperationLog {
  return { complete: true, operations: packOperations(operations), forgotten: [] }
}

test('fate: what one member alone was asked to do has begun, also when that member is all that remains', () => {
  let sets = [[1, 2]]
  const logs = new Map([
    [1, logOf()],
    [2, logOf(WRITE)],
  ])
  const former = new FormerOperations(
    () => sets,
    peer => logs.get(peer) ?? null,
  )
  former.served(0)
  expect(former.fate(WRITE)).toBe('begun')
  // Peer 2 has been made like peer 1, which had it not, before peer 1 left.
  sets = [[2]]
  expect(former.fate(WRITE)).toBe('begun')
})

test('fate: who joined after the range was first served has no word in it', () => {
  let sets = [[1]]
  const former = new FormerOperations(
    () => sets,
    peer => (peer === 1 ? logOf(WRITE) : null),
  )
  former.served(0)
  sets = [[1, 2]]
  expect(former.fate(WRITE)).toBe('carriedOut')
})

test('fate: each range is judged by its own members, one that is not served yet by those that it has now', () => {
  let sets = [[1, 2], [3]]
  const across = { ...WRITE, offsetBytes: RANGE_BYTES - 4096, lengthBytes: 8192 }
  const former = new FormerOperations(
    () => sets,
    peer => (peer === 2 ? logOf() : logOf(across)),
  )
  former.served(0)
  sets = [[1], [3]]
  expect(former.fate(across)).toBe('begun')
  expect(former.fate({ ...across, offsetBytes: RANGE_BYTES, lengthBytes: 4096 })).toBe('carriedOut')
})
