import { beforeEach, describe, expect, test } from 'vitest'
import type { Catalogue } from '../control/catalogue.ts'
import { ClusterPortals } from '../control/cluster-portals.ts'
import { encodeValue, keys, type PeerValue, type RegistrationValue } from '../control/layout.ts'
import { Model, noChange } from '../control/model.ts'
import type { Log } from '../lib/log.ts'
import type { OwnedHere } from '../replication/replication.ts'
import { Handover } from './handover.ts'

const SILENT = { info: () => {}, warn: () => {} } as unknown as Log

describe('a peer that is drained', () => {
  let model: Model
  let revision: bigint
  let changed: () => void
  let log: string[]
  const owned = new Set<string>()

  const put = (key: string, value: Buffer) => {
    const modRevision = ++revision
    const entry = { key, value, modRevision, createRevision: modRevision, version: 1n, lease: 0n }
    model.apply(key, entry, modRevision, noChange())
    changed()
  }
  const peer = (id: string, number: number, draining = false) => {
    const value: PeerValue = { number, addresses: [], labels: {}, draining }
    put(keys.peer(id), encodeValue('peer', value))
  }
  const up = (id: string, number: number) => {
    const value = { number, portals: [`192.0.2.${number}:3260`] } as unknown as RegistrationValue
    put(keys.registration(id), encodeValue('registration', value))
  }
  const volume = (name: string, peers: number[]) => {
    put(keys.head(name), encodeValue('volume', { uuid: name, state: 'ready' } as never))
    put(keys.page(name, 0), encodeValue('placement', { ranges: [peers] }))
  }
  const settled = () => new Promise(resolve => setImmediate(resolve))

  beforeEach(() => {
    model = new Model()
    revision = 1n
    log = []
    changed = () => {}
    owned.clear()
    const catalogue = {
      model,
      onChange(listener: () => void) {
        changed = listener
        return () => {}
      },
    } as unknown as Catalogue
    peer('one', 1)
    up('one', 1)
    new Handover({
      catalogue,
      portals: new ClusterPortals(catalogue, () => [], 1),
      replication: {
        owned: name => (owned.has(name) ? ({} as OwnedHere) : null),
        async release(name) {
          owned.delete(name)
          log.push(`released ${name}`)
        },
        stepBack: back => void log.push(back ? 'stepped back' : 'takes part'),
      },
      suggestLogout: () => void log.push('asked to log out'),
      log: SILENT,
    })
    volume('both', [1, 2])
    volume('alone', [1])
    owned.add('both').add('alone')
  })

  test('alone it keeps its clients and its volumes', async () => {
    peer('one', 1, true)
    await settled()
    expect(log).toEqual(['stepped back'])
  })

  test('volumes that another member can own are let go of, once, and initiators are asked to log in elsewhere', async () => {
    peer('two', 2)
    up('two', 2)
    peer('one', 1, true)
    await settled()
    expect(log).toEqual(['stepped back', 'asked to log out', 'released both'])
    owned.add('both')
    up('two', 2)
    await settled()
    expect(log).toHaveLength(3)
  })

  test('a volume goes as soon as it has another member', async () => {
    peer('two', 2)
    up('two', 2)
    peer('one', 1, true)
    await settled()
    volume('alone', [2])
    await settled()
    expect(log.at(-1)).toBe('released alone')
  })

  test('taken back, it takes part again', async () => {
    peer('two', 2)
    up('two', 2)
    peer('one', 1, true)
    await settled()
    peer('one', 1, false)
    peer('one', 1, true)
    await settled()
    expect(log.slice(3)).toEqual(['takes part', 'stepped back', 'asked to log out'])
  })
})
