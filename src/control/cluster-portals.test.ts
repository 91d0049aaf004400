import { beforeEach, describe, expect, test } from 'vitest'
import type { Catalogue } from './catalogue.ts'
import { ClusterPortals } from './cluster-portals.ts'
import { encodeValue, keys, type PeerValue, type RegistrationValue, type TargetValue } from './layout.ts'
import { Model, noChange } from './model.ts'
import type { Portal } from './ports.ts'

const CONTACT = { listener: 0, localAddress: '192.0.2.1:3260' }
const ALICE = 'iqn.1993-08.org.debian:alice'
const TARGET = { luns: [{ lun: 0, volume: 'demo', readOnly: false }] } as unknown as TargetValue

describe('portals of a cluster', () => {
  let model: Model
  let revision: bigint
  let own: Portal[]
  let portals: ClusterPortals

  const put = (key: string, value: Buffer) => {
    const modRevision = ++revision
    const entry = { key, value, modRevision, createRevision: modRevision, version: 1n, lease: 0n }
    model.apply(key, entry, modRevision, noChange())
  }
  const peer = (id: string, number: number, draining = false) => {
    const value: PeerValue = { number, addresses: [], labels: {}, draining }
    put(keys.peer(id), encodeValue('peer', value))
  }
  const up = (id: string, number: number, addresses: string[]) => {
    const value = { number, portals: addresses } as unknown as RegistrationValue
    put(keys.registration(id), encodeValue('registration', value))
  }
  const owns = (id: string, number: number) =>
    put(keys.owner('demo'), encodeValue('owner', { peer: id, number, epoch: 2, incarnation: 'x' }))

  beforeEach(() => {
    model = new Model()
    revision = 1n
    own = [{ listener: 0, address: '0.0.0.0:3260', advertised: null }]
    portals = new ClusterPortals({ model } as unknown as Catalogue, () => own, 1)
    peer('one', 1)
    up('one', 1, ['0.0.0.0:3260'])
    peer('two', 2)
    up('two', 2, ['192.0.2.2:3260'])
    peer('three', 3)
    up('three', 3, ['[::]:3260', '192.0.2.3:3260'])
    peer('four', 4)
  })

  test('the own ones come first, others with their group, wildcards and peers that are down not at all', () => {
    expect(portals.reachableFrom(CONTACT)).toEqual([
      { address: '192.0.2.1:3260', portalGroupTag: 1 },
      { address: '192.0.2.2:3260', portalGroupTag: 2 },
      { address: '192.0.2.3:3260', portalGroupTag: 3 },
    ])
    expect(portals.dialledFrom('192.0.2.9:9280')).toEqual([
      '192.0.2.9:3260',
      '192.0.2.2:3260',
      '192.0.2.3:3260',
    ])
  })

  test('a peer that is drained is not named by others', () => {
    peer('two', 2, true)
    expect(portals.reachableFrom(CONTACT).map(({ portalGroupTag }) => portalGroupTag)).toEqual([1, 3])
  })

  test('logins are sent away while this peer is drained: to the owner, if it can be dialled', () => {
    expect(portals.elsewhere(TARGET, ALICE, CONTACT)).toBeNull()
    peer('one', 1, true)
    owns('three', 3)
    expect(portals.elsewhere(TARGET, ALICE, CONTACT)).toBe('192.0.2.3:3260')
    owns('four', 4)
    expect(['192.0.2.2:3260', '192.0.2.3:3260']).toContain(portals.elsewhere(TARGET, ALICE, CONTACT))
    peer('one', 1, false)
    expect(portals.elsewhere(TARGET, ALICE, CONTACT)).toBeNull()
  })

  test('a client stays on its network: the listener that it dialled has its like at the other peer', () => {
    peer('one', 1, true)
    owns('two', 2)
    up('two', 2, ['192.0.2.2:3260', '198.51.100.2:3260'])
    const second = { listener: 1, localAddress: '198.51.100.1:3260' }
    expect(portals.elsewhere(TARGET, ALICE, second)).toBe('198.51.100.2:3260')
  })

  test('where there is nowhere else, clients stay', () => {
    peer('one', 1, true)
    peer('two', 2, true)
    peer('three', 3, true)
    expect(portals.sendsAway).toBe(false)
    expect(portals.elsewhere(TARGET, ALICE, CONTACT)).toBeNull()
  })
})
