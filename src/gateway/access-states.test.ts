import { expect, test } from 'vitest'
import type { Volume } from '../volume/volume.ts'
import { gatewayPortGroups } from './access-states.ts'

const [OPTIMIZED, NON_OPTIMIZED] = [0x0, 0x1]
const volume = { name: 'demo' } as Volume

/** States by group, as the gateway with this number tells them. */
function statesFrom(localId: number, owner: number | null): [id: number, state: number][] {
  const ownerships = {
    owner: () => (owner === null ? null : { peer: `${owner}`, number: owner, epoch: 2, incarnation: 'x' }),
  }
  const groups = gatewayPortGroups(ownerships, () => [1, 2]).groupsOf(volume, localId)
  return groups.map(({ id, state }) => [id, state])
}

test('access states: the owner is optimized, whichever gateway tells it, and the others can be used', () => {
  for (const localId of [1, 2]) {
    expect(statesFrom(localId, 2)).toEqual([
      [1, NON_OPTIMIZED],
      [2, OPTIMIZED],
    ])
  }
})

test('access states: a gateway that is not registered yet tells of itself too', () => {
  expect(statesFrom(3, 1).map(([id]) => id)).toEqual([1, 2, 3])
})

test('access states: while nobody owns the volume no path is one that an initiator gives up', () => {
  expect(statesFrom(1, null)).toEqual([
    [1, NON_OPTIMIZED],
    [2, NON_OPTIMIZED],
  ])
})
