import { expect, test } from 'vitest'
import { BlockStatus } from '../../../src/block/block-status.ts'
import type { ReservationAction } from '../../../src/volume/reservations/step-reservations.ts'
import type { EventLoop } from '../world/event-loop.ts'
import { type ClientOperation, History } from './history.ts'
import { ReservationJudge } from './reservation-judge.ts'

const TYPE = 5
const A = 'host-a,t,1'
const B = 'host-b,t,1'

/** One volume, two hosts, and time that passes as they act. */
function aVolume() {
  const loop = { nowMs: 0 }
  const history = new History()
  const judge = new ReservationJudge(loop as EventLoop, history)
  let lastId = 0
  const act = (
    nexus: string,
    action: ReservationAction,
    outcome: 'done' | 'conflict' | 'unknown' = 'done',
  ) => {
    const attempt = judge.began(0, nexus, nexus === A ? 1n : 2n, action)
    loop.nowMs += 10
    judge.ended(attempt, outcome)
    loop.nowMs += 10
  }
  const register = (nexus: string) =>
    act(nexus, { do: 'registerAndIgnoreExistingKey', newKey: nexus === A ? 1n : 2n, persist: true })
  const reserve = (nexus: string) => act(nexus, { do: 'reserve', key: nexus === A ? 1n : 2n, type: TYPE })
  const fence = (by: string, outcome: 'done' | 'unknown' = 'done') => {
    const [key, victimKey] = by === A ? [1n, 2n] : [2n, 1n]
    act(by, { do: 'preemptAndAbort', key, victimKey, type: TYPE }, outcome)
  }
  const begin = (nexus: string, kind: ClientOperation['kind'] = 'write'): ClientOperation => {
    const operation: ClientOperation = {
      id: ++lastId,
      kind,
      client: nexus,
      nexus,
      volume: 0,
      firstSector: 0,
      sectors: 1,
      value: kind === 'read' ? 0 : lastId,
      fua: false,
      expected: [],
      invokedMs: loop.nowMs,
      respondedMs: Number.POSITIVE_INFINITY,
      outcome: 'pending',
      closedMs: Number.POSITIVE_INFINITY,
      found: [],
    }
    history.began(operation)
    return operation
  }
  const end = (operation: ClientOperation, status: BlockStatus = BlockStatus.ok) => {
    loop.nowMs += 10
    operation.respondedMs = loop.nowMs
    operation.outcome = status === BlockStatus.ok ? 'ok' : 'refused'
    judge.answered(operation, status)
    loop.nowMs += 10
  }
  const write = (nexus: string, status: BlockStatus = BlockStatus.ok) => end(begin(nexus), status)
  return { loop, history, judge, act, register, reserve, fence, begin, end, write }
}

test('who was fenced, or never registered, writes nothing while the volume is reserved', () => {
  const { register, reserve, fence, write } = aVolume()
  register(A)
  register(B)
  reserve(A)
  write(B)
  fence(A)
  expect(() => write(B)).toThrow('is not registered')
  expect(() => write('')).toThrow('is not registered')
  write(A)
  register(B)
  write(B)
})

test('without a reservation that is certain, or a fence that was answered, nobody is blamed', () => {
  for (const end of ['release', 'clear'] as const) {
    const { act, register, reserve, fence, write } = aVolume()
    register(A)
    register(B)
    fence(A)
    write(B)
    reserve(A)
    act(A, end === 'clear' ? { do: end, key: 1n } : { do: end, key: 1n, type: TYPE }, 'unknown')
    write(B)
  }
  const { register, reserve, fence, write } = aVolume()
  register(A)
  register(B)
  reserve(A)
  fence(A, 'unknown')
  write(B)
  write(B, BlockStatus.reservationConflict)
})

test('who is registered is not refused, and nobody is refused a read or a flush', () => {
  const { register, reserve, fence, begin, end, write } = aVolume()
  write(B, BlockStatus.reservationConflict)
  register(A)
  register(B)
  reserve(A)
  expect(() => write(B, BlockStatus.reservationConflict)).toThrow('is registered')
  fence(A)
  write(B, BlockStatus.reservationConflict)
  expect(() => end(begin(B, 'read'), BlockStatus.reservationConflict)).toThrow('was refused')
  expect(() => end(begin(B, 'flush'), BlockStatus.reservationConflict)).toThrow('was refused')
})

test('what a victim had sent counts before the answer to PREEMPT AND ABORT, or never', () => {
  const { history, judge, loop, register, reserve, fence, begin, end } = aVolume()
  register(A)
  register(B)
  reserve(A)
  const [early, late, own] = [begin(B), begin(B), begin(A)]
  end(early)
  fence(A)
  const fencedMs = loop.nowMs - 10
  late.outcome = own.outcome = 'unknown'
  judge.closeWhatWasFenced()
  const never = Number.POSITIVE_INFINITY
  expect([early, late, own].map(({ closedMs }) => closedMs)).toEqual([never, fencedMs, never])
  expect(history.contradiction()).toBe(null)
  const before = begin(A, 'read')
  end(before)
  before.found = [early.value]
  const after = begin(A, 'read')
  end(after)
  after.found = [late.value]
  expect(history.contradiction()?.at.value).toBe(late.value)
})

test('what a victim sends once it has registered anew may outlast the answer to PREEMPT AND ABORT', () => {
  const { judge, loop, register, reserve, begin } = aVolume()
  register(A)
  register(B)
  reserve(A)
  const before = begin(B)
  const fencing = judge.began(0, A, 1n, { do: 'preemptAndAbort', key: 1n, victimKey: 2n, type: TYPE })
  loop.nowMs += 10
  register(B)
  const anew = begin(B)
  loop.nowMs += 10
  judge.ended(fencing, 'done')
  before.outcome = anew.outcome = 'unknown'
  judge.closeWhatWasFenced()
  expect([before, anew].map(({ closedMs }) => closedMs)).toEqual([loop.nowMs, Number.POSITIVE_INFINITY])
})
