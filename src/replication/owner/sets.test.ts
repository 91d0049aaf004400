import { expect, test } from 'vitest'
import type { VolumeHead } from '../../control/layout.ts'
import { isInSync, RANGE_BYTES } from '../../control/layout.ts'
import { addMember, encodeInSync, inSyncSets, removeMembers, withoutMoved } from './sets.ts'

const names = {
  peerOf: (uuid: string) => Number(uuid.slice(1)),
  brickOf: (peer: number) => `b${peer}`,
}
const head = {
  out: [],
  minReplicas: 2,
  generation: 5,
  setVersion: 9,
  sizeBytes: 1,
} as unknown as VolumeHead

const served = { isServed: () => true, isReachable: () => true }
const leaver = (peer: number, full = false) => ({ peer, full })

test('sets: nobody is out of a new volume', () => {
  expect(inSyncSets(head, [[1, 2, 3]], names)).toEqual([[1, 2, 3]])
})

test('sets: a member leaves where M remain and stays in sync where they would not', () => {
  const placement = [
    [1, 2, 3],
    [2, 3],
    [1, 3],
  ]
  const removal = removeMembers(head, placement, names, [leaver(2)], served)!
  expect(inSyncSets(removal.head, placement, names)).toEqual([
    [1, 3],
    [2, 3],
    [1, 3],
  ])
  expect(removal).toMatchObject({ since: 6, left: [2], head: { generation: 6, setVersion: 10 } })
})

test('sets: of two that should leave at once only so many do that M remain', () => {
  const removal = removeMembers(head, [[1, 2, 3]], names, [leaver(2), leaver(3)], served)!
  expect(removal.left).toEqual([2])
  expect(inSyncSets(removal.head, [[1, 2, 3]], names)).toEqual([[1, 3]])
})

test('sets: nobody leaves a set of M', () => {
  expect(removeMembers(head, [[1, 2]], names, [leaver(2)], served)).toBeNull()
})

test('sets: whoever leaves again somewhere else keeps the older generation', () => {
  const placement = [
    [1, 2, 3],
    [1, 2],
  ]
  const first = removeMembers(head, placement, names, [leaver(2)], served)!.head
  const wider = [placement[0]!, [1, 2, 4]]
  const second = removeMembers({ ...first, generation: 8 }, wider, names, [leaver(2)], served)!
  expect(second.head.out).toEqual([{ uuid: 'b2', since: 6, inSync: '00' }])
  expect(second.since).toBe(9)
})

test('sets: nobody leaves a range of which the owner has not heard who holds it', () => {
  const grown = { ...head, sizeBytes: 2 * RANGE_BYTES }
  const removal = removeMembers(grown, [[1, 2, 3]], names, [leaver(2)], served)!
  expect(
    inSyncSets(
      removal.head,
      [
        [1, 2, 3],
        [2, 3],
      ],
      names,
    ),
  ).toEqual([
    [1, 3],
    [2, 3],
  ])
})

test('sets: a brick that joined everywhere is out no more', () => {
  const placement = [
    [1, 2, 3],
    [1, 2, 3],
  ]
  const { head: without } = removeMembers(head, placement, names, [leaver(3)], served)!
  const half = addMember(without, placement, names, 'b3', new Set([1]))
  expect(inSyncSets(half, placement, names)).toEqual([
    [1, 2],
    [1, 2, 3],
  ])
  const whole = addMember(half, placement, names, 'b3', new Set([0]))
  expect(whole.out).toEqual([])
  expect(whole.setVersion).toBe(without.setVersion + 2)
})

test('sets: a new brick is out where it has left, though the one before it was in sync there', () => {
  const placement = [
    [1, 2, 3],
    [1, 2, 3],
    [1, 2, 3],
  ]
  const before = { uuid: 'b3', since: 4, inSync: '01' }
  const now = { uuid: 'c3', since: 6, inSync: '06' }
  const joined = addMember({ ...head, out: [before, now] }, placement, names, 'c3', new Set([1]))
  expect(joined.out).toEqual([{ uuid: 'c3', since: 0, inSync: '02' }])
  expect(inSyncSets(joined, placement, names)).toEqual([
    [1, 2],
    [1, 2, 3],
    [1, 2],
  ])
  expect(addMember(joined, placement, names, 'c3', new Set([0, 2])).out).toEqual([])
})

test('sets: a brick whose missing ranges have all moved away is out no more', () => {
  const placement = [
    [1, 2, 3],
    [1, 2, 3],
  ]
  const { head: without } = removeMembers(head, placement, names, [leaver(3)], served)!
  const half = addMember(without, placement, names, 'b3', new Set([1]))
  expect(withoutMoved(half, placement, names)).toBe(half)
  expect(withoutMoved(half, [[1, 2, 4], placement[1]!], names).out).toEqual([])
  expect(withoutMoved(without, [[1, 2, 4], placement[1]!], names)).toBe(without)
  const nobodys = { ...names, peerOf: () => null }
  expect(withoutMoved(half, [[1, 2, 4]], nobodys)).toBe(half)
})

test('sets: a bitmap of many ranges reads as it was written', () => {
  const inSync = encodeInSync(70, range => range % 7 === 3)
  const out = { uuid: 'b1', since: 1, inSync }
  for (let range = 0; range < 70; range++) expect(isInSync(out, range)).toBe(range % 7 === 3)
  expect(isInSync(out, 500)).toBe(false)
})

test('sets: whoever lost what it held returns by a full comparison', () => {
  const removal = removeMembers(head, [[1, 2, 3]], names, [leaver(3, true)], served)!
  expect(removal.head.out).toEqual([{ uuid: 'b3', since: 0, inSync: '00' }])
})

test('sets: where a former owner may read yet by what M was, as many stay as it counted on', () => {
  const placement = [
    [1, 2, 3],
    [1, 3],
    [1, 3],
  ]
  const fallen = { ...head, minReplicas: 1, minReplicasBefore: 2 }
  const view = { ...served, isServed: (range: number) => range === 2 }
  const removal = removeMembers(fallen, placement, names, [leaver(1), leaver(2)], view)!
  expect(inSyncSets(removal.head, placement, names)).toEqual([[2, 3], [1, 3], [3]])
})

test('sets: nobody leaves a range that is not served yet to one that may never answer', () => {
  const placement = [
    [1, 2, 3],
    [1, 2, 3],
  ]
  const view = { isServed: (range: number) => range === 1, isReachable: (peer: number) => peer !== 2 }
  const removal = removeMembers(head, placement, names, [leaver(1)], view)!
  expect(inSyncSets(removal.head, placement, names)).toEqual([
    [1, 2, 3],
    [2, 3],
  ])
  expect(removeMembers(head, [[1, 2, 3]], names, [leaver(1)], { ...view, isServed: () => false })).toBeNull()
})
