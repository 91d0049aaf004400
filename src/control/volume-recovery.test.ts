import { expect, test } from 'vitest'
import type { VolumeHead } from './layout.ts'
import { RECOVERY_STEP, recoveredHead } from './volume-recovery.ts'

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
function recover(change: Partial<VolumeHead>, ranges: number[][], off: number[], known = head) {
  const bricks = new Map(off.map(peer => [`b${peer}`, peer]))
  return recoveredHead('v', { ...head, ...change }, ranges, bricks, names, known)
}

test('recover: the named bricks are out everywhere, to be compared whole, and M is what is left', () => {
  expect(recover({}, [[1, 2, 3]], [2, 3])).toMatchObject({
    epoch: 4 + RECOVERY_STEP,
    generation: 7 + RECOVERY_STEP,
    setVersion: 9 + RECOVERY_STEP,
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

test('recover: whoever was asked and whoever could not be knows less, though the metadata were rolled back', () => {
  const known = { ...head, epoch: 30, setVersion: 5 }
  expect(recover({}, [[1, 2, 3]], [2], known)).toMatchObject({
    epoch: 30 + RECOVERY_STEP,
    generation: 33 + RECOVERY_STEP,
    setVersion: 9 + RECOVERY_STEP,
  })
})

test('recover: refused where a range would have no replica left, counting those that are out of it', () => {
  expect(() => recover({}, [[1], [2]], [2])).toThrow("no replica of range 1 of volume 'v' would be left")
  const out = [{ uuid: 'b1', since: 6, inSync: '00' }]
  expect(() => recover({ out }, [[1, 2]], [2])).toThrow('no replica of range 0')
})
