import { expect, test } from 'vitest'
import type { VolumeHead } from './layout.ts'
import { recoveredHead } from './volume-recovery.ts'

const names = { peerOf: (uuid: string) => Number(uuid.slice(1)) }
const head = {
  epoch: 4,
  replicas: 3,
  minReplicas: 2,
  generation: 7,
  setVersion: 9,
  lossGeneration: 0,
  out: [],
} as unknown as VolumeHead
const recover = (change: Partial<VolumeHead>, ranges: number[][], off: number[]) =>
  recoveredHead('v', { ...head, ...change }, ranges, new Map(off.map(peer => [`b${peer}`, peer])), names)

test('recover: the named bricks are out everywhere, to be compared whole, and M is what is left', () => {
  expect(recover({}, [[1, 2, 3]], [2, 3])).toMatchObject({
    epoch: 5,
    generation: 8,
    setVersion: 10,
    lossGeneration: 1,
    minReplicas: 1,
    minReplicasWanted: 2,
    out: [
      { uuid: 'b2', since: 0, inSync: '00' },
      { uuid: 'b3', since: 0, inSync: '00' },
    ],
  })
})

test('recover: with enough replicas left M stays, and a brick that was out already is out for good', () => {
  const out = [{ uuid: 'b3', since: 6, inSync: '01' }]
  const recovered = recover(
    { out },
    [
      [1, 2, 3],
      [1, 2, 3],
    ],
    [3],
  )
  expect(recovered).toMatchObject({ minReplicas: 2, out: [{ uuid: 'b3', since: 0, inSync: '00' }] })
})

test('recover: refused where a range would have no replica left, counting those that are out of it', () => {
  expect(() => recover({}, [[1], [2]], [2])).toThrow("no replica of range 1 of volume 'v' would be left")
  const out = [{ uuid: 'b1', since: 6, inSync: '00' }]
  expect(() => recover({ out }, [[1, 2]], [2])).toThrow('no replica of range 0')
})
