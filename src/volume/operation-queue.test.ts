import fc from 'fast-check'
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
    queue.enterAhead([ahead])
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
    queue.enterAhead([ahead])
    expect(begun).toEqual(['first', 'ahead'])
    queue.leave(waiting)
    queue.leave(ahead)
    entered('next', 12, 15)
    expect(begun).toEqual(['first', 'ahead', 'next'])
  })

  test('many go ahead at once: each waits for those in its way that have begun, and they keep their order', () => {
    const held = entered('held', 15, 25)
    entered('waiting', 20, 60)
    entered('read', 70, 75, RangeHold.read)
    const many = [50, 20, 10, 40, 30].map(at => entry(`${at}`, at, at + 10))
    queue.enterAhead(many)
    expect(begun).toEqual(['held', 'read', '50', '40', '30'])
    queue.leave(held)
    expect(begun.slice(5)).toEqual(['20', '10'])
    for (const each of many) queue.leave(each)
    expect(begun.at(-1)).toBe('waiting')
  })

  test('thousands of locks cost no walk along all of them for each that goes ahead or leaves', () => {
    let looks = 0
    const many = Array.from({ length: 2000 }, (_, i) => ({
      ...entry('one of many', 0, 0),
      get startBytes() {
        looks++
        return i * 10
      },
      endBytes: (i + 1) * 10,
    }))
    queue.enterAhead(many)
    entered('waiting', 19_990, 20_000)
    looks = 0
    for (const each of many.slice(0, 1900)) queue.leave(each)
    expect(looks).toBeLessThan(20_000)
    looks = 0
    const empty = new OperationQueue()
    empty.enterAhead(many)
    expect(looks).toBeLessThan(100_000)
  })

  test('always: whoever waits has somebody before it in its way, and whoever has begun has nobody', () => {
    const step = fc.record({
      what: fc.constantFrom('enter', 'ahead', 'leave'),
      at: fc.nat(40),
      bytes: fc.integer({ min: 1, max: 12 }),
      hold: fc.constantFrom(...Object.values(RangeHold)),
    })
    const inTheWay = (one: RangeEntry, other: RangeEntry) =>
      one.startBytes < other.endBytes &&
      one.endBytes > other.startBytes &&
      (one.hold === RangeHold.write || other.hold === RangeHold.write)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), steps => {
        queue = new OperationQueue()
        const inside: RangeEntry[] = []
        for (const { what, at, bytes, hold } of steps) {
          if (what === 'leave') {
            const [left] = inside.splice(at % Math.max(1, inside.length), 1)
            if (left !== undefined) queue.leave(left)
          } else {
            const one = entry('', at, at + bytes, hold)
            const other = entry('', at + bytes, at + 2 * bytes, hold)
            if (what === 'enter') queue.enter(one)
            else queue.enterAhead([other, one])
            inside.push(one, ...(what === 'enter' ? [] : [other]))
          }
          const order: RangeEntry[] = []
          for (let each = queue.first; each !== null; each = each.nextEntry) order.push(each)
          expect(order).toHaveLength(inside.length)
          for (const [i, each] of order.entries()) {
            expect(each.waiting).toBe(order.slice(0, i).some(before => inTheWay(before, each)))
          }
          expect(queue.firstWaiting).toBe(order.find(({ waiting }) => waiting) ?? null)
        }
      }),
    )
  })
})
