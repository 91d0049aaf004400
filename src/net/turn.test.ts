import { setImmediate as nextRound } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { LONE_TURN_BYTES, OPERATION_TURN_BYTES, TURN_BYTES, Turn, TurnQueue } from './turn.ts'

const MOST_OPERATIONS = TURN_BYTES / OPERATION_TURN_BYTES

class Taker {
  movedBytes = 0
  operations = 0
  turnsBegun = 0
  readonly turn: Turn

  constructor(queue: TurnQueue) {
    this.turn = new Turn(queue, this)
  }

  turnBegins(): void {
    this.turnsBegun++
  }

  /** Short operations until its turn is over, at most `count`; answers how many. */
  work(count: number): number {
    let done = 0
    while (done < count && !this.turn.isOver()) {
      this.operations++
      done++
    }
    return done
  }
}

test('turn: over when its bytes have moved, and begun again in the next round of the loop', async () => {
  const taker = new Taker(new TurnQueue())
  taker.turn.passEnded()
  taker.turn.passEnded()
  taker.movedBytes = LONE_TURN_BYTES - 1
  expect(taker.turn.isOver()).toBe(false)
  taker.movedBytes = LONE_TURN_BYTES
  expect([taker.turn.isOver(), taker.turn.isOver()]).toEqual([true, true])
  await nextRound()
  expect([taker.turnsBegun, taker.turn.isOver()]).toEqual([1, false])
})

test('turn: of fewer bytes where somebody else is at work', async () => {
  const queue = new TurnQueue()
  const greedy = new Taker(queue)
  const quiet = new Taker(queue)
  const overAt = () => {
    const from = greedy.movedBytes
    while (!greedy.turn.isOver()) greedy.movedBytes += TURN_BYTES / 4
    return greedy.movedBytes - from
  }
  for (let passes = 0; passes < 2; passes++) greedy.turn.passEnded()
  expect(overAt()).toBe(LONE_TURN_BYTES)
  quiet.work(1)
  await nextRound()
  expect(overAt()).toBe(TURN_BYTES)
  await nextRound()
  expect(overAt()).toBe(LONE_TURN_BYTES)
})

test('turn: of short operations only where somebody else is at work', async () => {
  const queue = new TurnQueue()
  const greedy = new Taker(queue)
  const quiet = new Taker(queue)
  for (let passes = 0; passes < 2; passes++) greedy.turn.passEnded()
  expect(greedy.work(10_000)).toBe(10_000)
  greedy.turn.passEnded()
  quiet.work(1)
  expect(greedy.work(10_000)).toBe(MOST_OPERATIONS)
  await nextRound()
  expect(greedy.work(10_000)).toBe(MOST_OPERATIONS)
  await nextRound()
  expect(greedy.work(10_000)).toBe(10_000)
})

test('turn: what ended by itself is not counted on', () => {
  const queue = new TurnQueue()
  const takers = [new Taker(queue), new Taker(queue)]
  for (let round = 0; round < 100; round++) {
    for (const taker of takers) {
      expect(taker.work(MOST_OPERATIONS - 1)).toBe(MOST_OPERATIONS - 1)
      taker.turn.passEnded()
    }
  }
  expect(takers.map(({ turnsBegun }) => turnsBegun)).toEqual([0, 0])
})
