import { expect, test } from 'vitest'
import type { Model } from '../control/model.ts'
import type { PeerLink } from '../replication/peer-network.ts'
import { otherGateways } from './other-gateways.ts'

test('other gateways: those that are registered, and those that are spoken to without a lease', () => {
  const peers = ['a', 'b', 'c', 'd', 'e'].map((id, at) => ({ id, value: { number: at + 1 } }))
  const registration = (id: string) => (['a', 'b', 'c'].includes(id) ? {} : null)
  const model = { peers, registration } as unknown as Model
  const link = (peerNumber: number) => ({ isUp: [2, 4].includes(peerNumber) }) as PeerLink
  expect(otherGateways(model, new Set(['a']), { link })).toEqual([2, 3, 4])
})
