import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BusyPoll } from './busy-poll.ts'

/** A clock that tells how often it was asked: while the loop is looking out it is asked once a turn. */
function clock() {
  const state = { nowMs: 0, asked: 0 }
  const nowMs = () => {
    state.asked++
    return state.nowMs
  }
  return { state, nowMs }
}

async function asksInTurns(state: { asked: number }, turns: number): Promise<number> {
  const before = state.asked
  for (let i = 0; i < turns; i++) await turn()
  return state.asked - before
}

test('busy poll: input that follows on input keeps the loop looking, until the window is over', async () => {
  const { state, nowMs } = clock()
  const poll = new BusyPoll(nowMs)
  poll.passEnded()
  expect(await asksInTurns(state, 5)).toBeGreaterThanOrEqual(4)
  state.nowMs = 1
  await turn()
  await turn()
  expect(await asksInTurns(state, 5)).toBe(0)
})

test('busy poll: input that comes seldom is not looked out for', async () => {
  const { state, nowMs } = clock()
  const poll = new BusyPoll(nowMs)
  state.nowMs = 1000
  poll.passEnded()
  expect(await asksInTurns(state, 5)).toBe(0)
})

test('busy poll: each look that sees nothing makes the next one rarer', async () => {
  const { state, nowMs } = clock()
  const poll = new BusyPoll(nowMs)
  const passesUntilLook = async () => {
    for (let passes = 1; ; passes++) {
      poll.passEnded()
      if ((await asksInTurns(state, 3)) > 0) break
      if (passes > 10_000) return passes
    }
    state.nowMs += 1
    for (let i = 0; i < 3; i++) await turn()
    let rest = 0
    for (;;) {
      const before = state.asked
      poll.passEnded()
      if (state.asked > before) return rest
      rest++
    }
  }
  const first = await passesUntilLook()
  const second = await passesUntilLook()
  expect(first).toBeGreaterThan(0)
  expect(second).toBe(first * 2)
})

test('busy poll: a pass that leaves something waiting ends the look, and the next pass may look again', async () => {
  const { state, nowMs } = clock()
  const poll = new BusyPoll(nowMs)
  poll.passEnded()
  poll.passLeftWaiting()
  await turn()
  expect(await asksInTurns(state, 5)).toBe(0)
  poll.passEnded()
  expect(await asksInTurns(state, 5)).toBeGreaterThanOrEqual(4)
})
