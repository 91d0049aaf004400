import { expect, test } from 'vitest'
import type { Registration } from '../volume/reservations/reservation-state.ts'
import type { Catalogue } from './catalogue.ts'
import type { ClusterPortals } from './cluster-portals.ts'
import { CatalogueDirectory } from './directory.ts'
import type { TargetValue } from './layout.ts'
import type { Serving } from './serving.ts'

const TARGET = 'iqn.2026-11.io.holdfast:demo'
const ALICE = 'iqn.1993-08.org.debian:alice'
const CONTACT = { listener: 0, localAddress: '192.0.2.1:3260' }
const ELSEWHERE = '192.0.2.2:3260'

/** What a login of ALICE to peer 1, which is drained, hears while these are registered. */
function heard(...registrations: Partial<Registration>[]): string {
  const target = {
    luns: [{ lun: 0, volume: 'demo', readOnly: false }],
    openToAll: true,
    acl: [],
    chap: null,
    chapByInitiator: {},
  } as unknown as TargetValue
  const catalogue = { current: true, complete: true, model: { target: () => target } }
  const serving = {
    target: () => ({ name: TARGET }),
    volume: () => ({ reservations: { state: { registrations } } }),
  }
  const portals = { peerNumber: 1, elsewhere: () => ELSEWHERE }
  const directory = new CatalogueDirectory(
    catalogue as unknown as Catalogue,
    serving as unknown as Serving,
    portals as unknown as ClusterPortals,
  )
  return directory.lookUp(TARGET, ALICE, CONTACT).found
}

test('directory: who is registered through a drained peer stays there, where its registration holds', () => {
  expect(heard({ initiatorName: ALICE, targetPortalGroupTag: 1 })).toBe('yes')
  expect(heard({ initiatorName: ALICE.toUpperCase(), targetPortalGroupTag: 1 })).toBe('yes')
})

test('directory: all others are sent away, and who is registered through every port too', () => {
  expect(heard()).toBe('moved')
  expect(heard({ initiatorName: ALICE, targetPortalGroupTag: null })).toBe('moved')
  expect(heard({ initiatorName: ALICE, targetPortalGroupTag: 2 })).toBe('moved')
  expect(heard({ initiatorName: 'iqn.1993-08.org.debian:bob', targetPortalGroupTag: 1 })).toBe('moved')
})
