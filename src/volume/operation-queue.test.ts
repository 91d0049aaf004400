import { beforeEach, describe, expect, test } from 'vitest'
import { OperationQueue, type RangeEntry, RangeHold } from './operation-queue.ts'

describe('block locks', () => {
  let queue: OperationQueue
  let begun: string[]

  const entry = (name: string, startBytes: number, endBytes: number, hold: RangeHold = RangeHold.write) => ({
    ...{ startBytes, endBytes, hold, waiting: false, nextEntry: null, previousEntry: null },
    begin: () => void begun.push(name),
  })
  const entered = (...of: Parameters<typeof entry>): RangeEntry => {
    const made = entry(...of)
    queue.enter(made)
    return made
  }

  beforeEach(() => {
    queue = new OperationQueue()
    begun = []
  })

  test('in the order of arrival: whoever overlaps an earlier one waits for it, others do not', () => {
    const first = entered('first', 0, 10)
    const second = entered('second', 5, 15)
    entered('third', 12, 20)
    entered('apart', 20, 30)
    expect(begun).toEqual(['first', 'apart'])
    queue.leave(first)
    expect(begun).toEqual(['first', 'apart', 'second'])
    queue.leave(second)
    expect(begun.at(-1)).toBe('third')
  })

  test('reads share a range, and a write between them keeps their order', () => {
    entered('read', 0, 10, RangeHold.read)
    entered('too', 5, 15, RangeHold.read)
    entered('write', 0, 10)
    entered('late', 0, 10, RangeHold.read)
    expect(begun).toEqual(['read', 'too'])
  })

  test('one that goes ahead waits for those that have begun, wherever they stand, and for nobody else', () => {
    const first = entered('first', 0, 10)
    const waiting = entered('waiting', 5, 15)
    const later = entered('later', 20, 30)
    const ahead = entry('ahead', 8, 25)
    queue.enterAhead(ahead)
    queue.leave(first)
    expect(begun).toEqual(['first', 'later'])
    queue.leave(later)
    expect(begun).toEqual(['first', 'later', 'ahead'])
    queue.leave(ahead)
    expect(begun.at(-1)).toBe('waiting')
    queue.leave(waiting)
    expect(queue.isEmpty).toBe(true)
  })

  test('one that goes ahead begins at once where only waiting ones are in its way', () => {
    entered('first', 0, 10)
    const waiting = entered('waiting', 5, 15)
    const ahead = entry('ahead', 12, 15)
    queue.enterAhead(ahead)
    expect(begun).toEqual(['first', 'ahead'])
    queue.leave(waiting)
    queue.leave(ahead)
    entered('next', 12, 15)
    expect(begun).toEqual(['first', 'ahead', 'next'])
  })
})
