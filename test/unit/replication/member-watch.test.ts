import { expect, test } from 'vitest'
import type { Member } from '../../../src/replication/owner/member.ts'
import { MemberWatch } from '../../../src/replication/owner/member-watch.ts'
import type { Ownership } from '../../../src/replication/owner/ownership.ts'
import { ManualTimers } from '../../lib/manual-timers.ts'

const TICK_MS = 100

/** Three members, all in reach; what is waited for is what the test says. */
function aWatch() {
  const timers = new ManualTimers()
  const reset: number[] = []
  const members = [1, 2, 3].map(peerNumber => {
    const link = { reset: () => reset.push(peerNumber) }
    return { peerNumber, local: null, reachable: true, link } as unknown as Member
  })
  const awaited = new Map<number, number>()
  const out: number[] = []
  const ends: string[] = []
  const sets = { everybody: members }
  const ownership = {
    node: { timers, config: { ejectAfterMs: 1_000 } },
    sets,
    fencedMembers: members,
    extents: {
      classes: [],
      operationsInFlight: 1,
      get everybody() {
        return sets.everybody
      },
      eachAwaited: (each: (member: Member, isOut: boolean, sinceMs: number, isFlush: boolean) => void) => {
        for (const [peer, sinceMs] of awaited) each(members[peer - 1]!, true, sinceMs, false)
      },
    },
    wantOut: (peer: number) => out.push(peer),
    end: (reason: string) => ends.push(reason),
  }
  const watch = new MemberWatch(ownership as unknown as Ownership)
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      timers.pass(TICK_MS)
      watch.tick(timers.now)
    }
  }
  return { timers, members, sets, awaited, out, ends, reset, pass }
}

test('slow: one member that takes more than a second is to leave', () => {
  const { timers, awaited, out, pass } = aWatch()
  awaited.set(2, timers.now)
  pass(1_000)
  expect(out).toEqual([])
  pass(100)
  expect(out).toEqual([2])
})

test('slow: one that is the last under a load that others bear as well gets three times as long', () => {
  const { timers, awaited, out, pass } = aWatch()
  awaited.set(2, timers.now)
  awaited.set(3, timers.now)
  pass(900)
  awaited.delete(3)
  pass(1_500)
  expect(out).toEqual([])
  pass(600)
  expect(new Set(out)).toEqual(new Set([2]))
})

test('slow: one that is just being copied to is cut off, and nobody leaves or lets go for it', () => {
  const { timers, members, sets, awaited, out, ends, reset, pass } = aWatch()
  sets.everybody = members.slice(0, 1)
  awaited.set(3, timers.now)
  pass(3_000)
  expect(reset).toEqual([])
  pass(100)
  expect(reset).toEqual([3])
  pass(20_000)
  expect([out, ends]).toEqual([[], []])
})

test('away: one that has left already is not asked to leave again and again', () => {
  const { members, sets, out, pass } = aWatch()
  Object.assign(members[2]!, { reachable: false })
  pass(1_200)
  expect(out).toContain(3)
  sets.everybody = members.slice(0, 2)
  out.length = 0
  pass(1_000)
  expect(out).toEqual([])
})
