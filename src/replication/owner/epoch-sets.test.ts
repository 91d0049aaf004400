import { expect, test } from 'vitest'
import { ManualTimers } from '../../../test/lib/manual-timers.ts'
import type { VolumeHead } from '../../control/layout.ts'
import { EpochSets, type EpochSetsOptions } from './epoch-sets.ts'
import type { HeadChange } from './head-keeper.ts'
import type { Member } from './member.ts'
import type { SetClass } from './set-class.ts'

const names = { peerOf: (uuid: string) => Number(uuid.slice(1)), brickOf: (peer: number) => `b${peer}` }
const HEAD = { replicas: 1, minReplicas: 1, out: [], generation: 1, setVersion: 1, sizeBytes: 1 }

class World {
  head = HEAD as unknown as VolumeHead
  reconciling = false
  superseded = false
  /** Per call of setClasses: how many quorums an operation waits for, and who is no longer waited for. */
  readonly installed: { readonly quorums: number; readonly left: readonly number[] }[] = []
  readonly unreachable = new Set<number>()
  readonly ejected: number[] = []
  readonly sets: EpochSets

  constructor(placement = [[1, 2]]) {
    const members = new Map<number, Member>()
    const keeper = {
      change: async (wanted: (head: VolumeHead) => HeadChange | null) => {
        const change = wanted(this.head)
        if (this.superseded) return 'superseded'
        if (change === null) return 'unchanged'
        this.head = change.head
        return 'changed'
      },
    }
    Object.defineProperty(keeper, 'head', { get: () => this.head })
    const options = {
      name: 'demo',
      keeper,
      placement,
      names,
      extents: {
        reserved: new Set(),
        setClasses: ([first]: readonly SetClass[], _everybody: unknown, left: readonly Member[]) => {
          const numbers = left.map(({ peerNumber }) => peerNumber)
          this.installed.push({ quorums: first!.quorums.length, left: numbers })
        },
      },
      timers: new ManualTimers(),
      member: (peerNumber: number) => {
        const reachable = !this.unreachable.has(peerNumber)
        const member = members.get(peerNumber) ?? { peerNumber, brickUuid: `b${peerNumber}`, reachable }
        members.set(peerNumber, member as Member)
        return member
      },
      ended: () => false,
      losesSource: () => false,
      isReconciling: () => this.reconciling,
      changed: (_left: unknown, ejected: readonly Member[]) => {
        for (const { peerNumber } of ejected) this.ejected.push(peerNumber)
      },
    }
    this.sets = new EpochSets(options as unknown as EpochSetsOptions)
  }

  leave(): Promise<string> {
    return this.sets.earn({ ranges: [0], joins: null, leaves: 2 })
  }
}

test('sets: one gives up its place when R has fallen, and nothing is made alike any more', async () => {
  const world = new World()
  world.sets.serve([0])
  world.reconciling = true
  expect([await world.leave(), world.sets.current]).toEqual(['unchanged', [[1, 2]]])
  world.reconciling = false
  expect([await world.leave(), world.sets.current, world.sets.placement]).toEqual(['changed', [[1]], [[1]]])
})

test('sets: nobody gives up its place where the next owner would miss one that it has to fence', async () => {
  const world = new World([[1, 2, 3]])
  world.head = { ...world.head, minReplicasBefore: 2 }
  world.unreachable.add(3)
  world.sets.serve([0])
  expect([await world.leave(), world.sets.current]).toEqual(['unchanged', [[1, 2, 3]]])
  expect(await world.sets.forgetFormerMinimum()).toBe('changed')
  expect([await world.leave(), world.sets.current]).toEqual(['changed', [[1, 3]]])
})

test('sets: who gives up its place as it was to is not one that was ejected', async () => {
  const world = new World()
  world.sets.serve([0])
  expect([await world.leave(), world.installed.at(-1)!.left, world.ejected]).toEqual(['changed', [2], []])
  const other = new World()
  other.sets.serve([0])
  expect([await other.sets.remove([{ peer: 2, full: false }]), other.ejected]).toEqual(['changed', [2]])
})

test('sets: nobody gives up its place without a successor while R says that there are to be so many', async () => {
  const world = new World()
  world.sets.serve([0])
  world.head = { ...world.head, replicas: 2 }
  expect([await world.leave(), world.sets.placement]).toEqual(['unchanged', [[1, 2]]])
})

test('sets: nobody gives up its place in a range that is not served yet', async () => {
  const world = new World()
  expect([await world.leave(), world.sets.placement]).toEqual(['unchanged', [[1, 2]]])
})

test('sets: nobody gives up its place for members that are out of reach', async () => {
  const world = new World()
  world.unreachable.add(1)
  world.sets.serve([0])
  expect([await world.leave(), world.sets.placement]).toEqual(['unchanged', [[1, 2]]])
})

test('sets: what M was is forgotten once every range is served by what it is', async () => {
  const world = new World()
  world.head = { ...world.head, minReplicasBefore: 2 }
  expect(await world.sets.forgetFormerMinimum()).toBe('unchanged')
  world.sets.serve([0])
  world.head = { ...world.head, minReplicas: 2 }
  expect(await world.sets.forgetFormerMinimum()).toBe('unchanged')
  world.head = { ...world.head, minReplicas: 1 }
  expect(await world.sets.forgetFormerMinimum()).toBe('changed')
  expect(world.head).not.toHaveProperty('minReplicasBefore')
})

test('sets: of a brick that lost what it held everything is compared, by whatever epoch it is brought back', async () => {
  const world = new World()
  const out = [2, 3].map(peer => ({ uuid: `b${peer}`, since: 4 + peer, inSync: '00' }))
  world.head = { ...world.head, out }
  expect(await world.sets.emptied(2)).toBe('changed')
  expect(world.head).toMatchObject({
    setVersion: 2,
    out: [
      { uuid: 'b2', since: 0 },
      { uuid: 'b3', since: 7 },
    ],
  })
  expect([await world.sets.emptied(2), world.head.setVersion]).toEqual(['unchanged', 2])
})

test('sets: when another epoch has begun while one joins, nothing is done without it', async () => {
  const world = new World()
  world.head = { ...world.head, replicas: 2, out: [{ uuid: 'b2', since: 1, inSync: '00' }] }
  world.sets.replaced([[1, 2]])
  world.sets.serve([0])
  world.superseded = true
  expect(await world.sets.earn({ ranges: [0], joins: 2, leaves: null })).toBe('superseded')
  expect(world.installed.at(-1)).toEqual({ quorums: 2, left: [] })
})
