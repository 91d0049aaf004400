import { expect, test } from 'vitest'
import { Atomicity } from './atomicity.ts'
import type { ClientOperation } from './history.ts'

const operation = (part: Partial<ClientOperation> & { id: number }): ClientOperation => ({
  kind: 'write',
  client: 'c',
  nexus: '',
  volume: 0,
  firstSector: 0,
  sectors: 4,
  value: part.id,
  fua: false,
  expected: [],
  invokedMs: part.id * 10,
  respondedMs: part.id * 10 + 5,
  outcome: 'ok',
  closedMs: Number.POSITIVE_INFINITY,
  found: [],
  ...part,
})
const before = operation({ id: 1 })
const unanswered = operation({ id: 2, kind: 'writeAtomic', outcome: 'unknown' })
const read = (id: number, ...found: number[]) => operation({ id, kind: 'read', value: 0, found })

test('atomicity: all of an unanswered write, or nothing of it, is nobody torn', () => {
  for (const found of [
    [1, 1, 1, 1],
    [2, 2, 2, 2],
  ]) {
    expect(new Atomicity([before, unanswered, read(3, ...found)]).tornForReaders()).toBe(null)
  }
})

test('atomicity: one READ that finds it beside what was there before is told', () => {
  const torn = new Atomicity([before, unanswered, read(3, 2, 2, 1, 2)]).tornForReaders()
  expect(torn).toMatchObject({ write: unanswered, present: 0, missing: 2, missingValue: 1 })
})

test('atomicity: what came after it or beside it may stand beside it', () => {
  const beside = operation({ id: 3, invokedMs: 15, outcome: 'unknown', sectors: 1 })
  const after = operation({ id: 4, firstSector: 1, sectors: 1 })
  expect(new Atomicity([before, unanswered, beside, after, read(5, 3, 4, 2, 2)]).tornForReaders()).toBe(null)
})

test('atomicity: once seen it is there for every later read, until writes were lost', () => {
  const operations = [before, unanswered, read(3, 2, 2, 2, 2), read(4, 2, 2, 2, 2), read(5, 1, 1, 1, 1)]
  expect(new Atomicity(operations).tornForReaders()).toMatchObject({ missing: 0, missingValue: 1 })
  expect(new Atomicity(operations, () => [45]).tornForReaders()).toBe(null)
})

test('atomicity: zeroes were there before it unless somebody zeroed since', () => {
  const first = operation({ id: 2, kind: 'writeAtomic', outcome: 'unknown' })
  expect(new Atomicity([first, read(3, 2, 0, 2, 2)]).tornForReaders()).not.toBe(null)
  const trim = operation({ id: 3, kind: 'trim', value: 0, invokedMs: 22, firstSector: 1, sectors: 1 })
  expect(new Atomicity([first, trim, read(4, 2, 0, 2, 2)]).tornForReaders()).toBe(null)
})

test('atomicity: members at rest are held to the same', () => {
  const contents = (values: readonly number[]) => (sector: number) => values[sector] ?? null
  const atomicity = new Atomicity([before, unanswered])
  expect(atomicity.tornAtRest(0, contents([2, 2, 2, 1]))).toMatchObject({ missing: 3 })
  expect(atomicity.tornAtRest(0, contents([2, 2, 2, 2]))).toBe(null)
  expect(atomicity.tornAtRest(1, contents([2, 2, 2, 1]))).toBe(null)
})
