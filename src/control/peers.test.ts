import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld, silentLog } from '../../test/lib/control-world.ts'
import { readBrickNames } from '../replication/owner/head-keeper.ts'
import { Catalogue } from './catalogue.ts'
import { joinCluster } from './cluster.ts'
import { EVENTS_KEPT, EventSource } from './events.ts'
import { decodeValue, encodeValue, keys, type RegistrationValue } from './layout.ts'
import { explainPlacement } from './placement/explain.ts'
import type { PlaceablePeer } from './placement/peers.ts'
import { ReplicaOperations } from './replica-operations.ts'
import { RECOVERY_STEP } from './volume-recovery.ts'

const GIB = 2 ** 30

describe('peers', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
    for (const id of ['b', 'c']) await joinCluster(world.store, { id, addresses: [], labels: {} })
    await world.restart()
  })
  afterEach(() => world.destroy())

  async function register(id: string, number: number): Promise<bigint> {
    const value: RegistrationValue = {
      number,
      incarnation: id,
      bootId: '',
      brick: `brick-${id}`,
      openCounter: 1,
      capacityBytes: 100,
      usedBytes: 50,
      peerAddress: `${id}:9281`,
      portals: [],
      nbd: [],
      formats: { brick: 1, wire: [1, 1] },
      startedAt: '2026-11-21T00:00:00.000Z',
    }
    const lease = await world.store.grantLease(60)
    await world.store.transact({
      compare: [],
      success: [
        { do: 'put', key: keys.registration(id), value: encodeValue('registration', value), lease },
        {
          do: 'put',
          key: keys.brick(value.brick),
          value: encodeValue('brick', { peer: id, openCounter: 1 }),
        },
      ],
    })
    return lease
  }
  const state = async (id: string) => (await world.control.showPeer(id)).state
  const kinds = async () =>
    (await world.control.listEvents(50)).map(({ kind, subject }) => `${kind} ${subject}`)

  test('a peer is up while it is registered, and its coming and going are events', async () => {
    expect(await state('b')).toBe('down')
    const lease = await register('b', 2)
    await expect.poll(() => state('b')).toBe('up')
    expect(await world.control.showPeer('b')).toMatchObject({ usedBytes: 50, peerAddress: 'b:9281' })
    await world.store.revokeLease(lease)
    await expect.poll(() => state('b')).toBe('down')
    expect((await world.control.showPeer('b')).lastSeenAt).not.toBeNull()
    await expect.poll(kinds).toEqual(expect.arrayContaining(['peer.up b', 'peer.down b']))
  })

  test('what the coming and going of peers enters keeps the events within their bound', async () => {
    const event = { at: '', kind: 'test', subject: '', message: '' }
    for (let batch = 0; batch < 13; batch++) {
      const success = Array.from({ length: 100 }, (_, at) => {
        const key = keys.event(`0000000${String(batch * 100 + at).padStart(7, '0')}-test`)
        return { do: 'put', key, value: encodeValue('event', event) } as const
      })
      await world.store.transact({ compare: [], success })
    }
    const lease = await register('b', 2)
    await expect.poll(() => state('b')).toBe('up')
    await world.store.revokeLease(lease)
    const entered = async () => (await world.store.range(keys.events)).entries.length
    await expect.poll(entered, { timeout: 10_000 }).toBeLessThan(EVENTS_KEPT + 100)
    await expect.poll(kinds).toContain('peer.down b')
  })

  test('a draining peer gets nothing new', async () => {
    await world.control.drainPeer('b')
    const made = await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    expect(made.replicas).toBe(2)
    expect(made.replication.members.map(({ peer }) => peer).sort()).toEqual(['c', 'peer-1'])
    await world.control.undrainPeer('b')
    expect((await world.control.createVolume({ name: 'w', sizeBytes: GIB })).replicas).toBe(3)
  })

  test('a peer is removed only when it is down and holds nothing, unless that is forced', async () => {
    const lease = await register('b', 2)
    await expect(world.control.removePeer('b', { force: true })).rejects.toThrow('stop its daemon first')
    await world.store.revokeLease(lease)
    await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    await expect(world.control.removePeer('b', { force: false })).rejects.toThrow('drain it first')
    await world.control.removePeer('b', { force: true })
    await expect(world.control.showPeer('b')).rejects.toMatchObject({ code: 'ERR_PEER_NOT_FOUND' })
    expect((await world.control.showVolume('v')).placement[0]?.why).toContain('a peer was removed')
    expect(await world.control.overview()).toMatchObject({ balanced: false })
  })

  test('a peer that was removed stays out of what it was out of, and can be given up', async () => {
    const lease = await register('b', 2)
    await world.store.revokeLease(lease)
    await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    const entry = (await world.store.get(keys.head('v')))!
    const head = decodeValue('volume', entry.key, entry.value)
    const out = [{ uuid: 'brick-b', since: 3, inSync: '00' }]
    const value = encodeValue('volume', { ...head, out })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: entry.key, value }] })
    await world.control.removePeer('b', { force: true })
    const isBehind = async () =>
      (await world.control.showVolume('v')).replication.members.find(({ peer }) => peer === 'b')?.behindRanges
    await expect.poll(isBehind).toBe(1)
    const names = await readBrickNames(world.store, () => null)
    expect([names.peerOf('brick-b'), names.brickOf(2), names.peers]).toEqual([2, 'brick-b', [1, 3]])
    await world.control.recoverVolume('v', { off: ['b'] })
    expect((await world.control.showVolume('v')).minReplicas).toBe(2)
  })

  test('of a peer that was removed it stays known which brick was its only one', async () => {
    const value = encodeValue('peer', { number: 2, addresses: [], labels: {}, brick: 'newer' })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.peer('b'), value }] })
    await world.control.removePeer('b', { force: false })
    const gone = (await world.store.get(keys.gonePeer('b')))!
    expect(decodeValue('gonePeer', gone.key, gone.value)).toEqual({ number: 2, brick: 'newer' })
  })

  test('replicas: M falls at once, and rises only with what is in sync', async () => {
    await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    const fewer = await world.control.setVolume('v', { replicas: 1 })
    expect(fewer).toMatchObject({ replicas: 1, minReplicas: 1 })
    const more = await world.control.setVolume('v', { replicas: 3 })
    expect(more).toMatchObject({ replicas: 3, minReplicas: 1 })
    await expect(world.control.setVolume('v', { replicas: 3, minReplicas: 4 })).rejects.toThrow('from 1 to 3')
  })

  test('create: peers that are down get nothing, and are named where that leaves too few', async () => {
    await register('b', 2)
    await expect.poll(() => state('b')).toBe('up')
    const wanted = { name: 'v', sizeBytes: GIB }
    await expect(world.control.createVolume(wanted)).rejects.toThrow(
      "3 replicas need 3 failure domains and there are 2 while peer 'c' is down: wait for it",
    )
    const made = await world.control.createVolume({ ...wanted, allowDegraded: true })
    expect(made).toMatchObject({ replicas: 3, minReplicas: 2, minReplicasWanted: null })
    expect(made.replication.members.map(({ peer }) => peer).sort()).toEqual(['b', 'peer-1'])
    expect(await world.control.createVolume({ ...wanted, name: 'w', replicas: 2 })).toMatchObject({
      replicas: 2,
    })
  })

  test('replicas: M of a degraded volume is what there is room for, and rises with what is in sync', async () => {
    const wanted = { name: 'v', sizeBytes: GIB, replicas: 5 }
    await expect(world.control.createVolume(wanted)).rejects.toThrow('confirm with --allow-degraded')
    await world.control.drainPeer('b')
    await world.control.drainPeer('c')
    const made = await world.control.createVolume({ ...wanted, replicas: 3, allowDegraded: true })
    expect(made).toMatchObject({ replicas: 3, minReplicas: 1, minReplicasWanted: 2 })
    await expect(world.control.setVolume('v', { replicas: 4 })).rejects.toThrow('--allow-degraded')
    const more = await world.control.setVolume('v', { replicas: 5, allowDegraded: true })
    expect(more).toMatchObject({ replicas: 5, minReplicas: 1, minReplicasWanted: 3 })
    expect(await world.control.setVolume('v', { replicas: 5 })).toMatchObject({ minReplicasWanted: 3 })
    const confirmed = await world.control.setVolume('v', { replicas: 2, minReplicas: 1 })
    expect(confirmed).toMatchObject({ replicas: 2, minReplicas: 1, minReplicasWanted: null })
  })

  test('recover: only without peers that are off', async () => {
    await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    await register('c', 3)
    await expect.poll(() => state('c')).toBe('up')
    await expect(world.control.recoverVolume('v', { off: ['c'] })).rejects.toThrow(
      'name only peers that are off',
    )
    await expect(world.control.recoverVolume('v', { off: ['z'] })).rejects.toThrow("no peer 'z'")
  })

  test('recover: goes by where the replicas are, however far the catalogue has got', async () => {
    await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    for (const lease of [await register('b', 2), await register('c', 3)]) await world.store.revokeLease(lease)
    await using catalogue = await Catalogue.open(world.store, silentLog)
    // The replica of the first peer has been moved to the second, of which it has not heard.
    const value = encodeValue('placement', { ranges: [[2, 3]] })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.page('v', 0), value }] })
    catalogue.model.placement = () => [[1, 3]]
    const replicas = new ReplicaOperations({
      metadata: world.store,
      catalogue,
      events: new EventSource(Date.now, 'a'),
      host: world.host,
      awayMs: () => 60_000,
    })
    await expect(replicas.recoverWithout('v', ['b', 'c'])).rejects.toThrow('no replica of range 0')
  })

  test('recover: goes beyond what replicas know that are ahead of the metadata', async () => {
    const { uuid } = await world.control.createVolume({ name: 'v', sizeBytes: GIB })
    const lease = await register('c', 3)
    await expect.poll(() => state('c')).toBe('up')
    await world.store.revokeLease(lease)
    await expect.poll(() => state('c')).toBe('down')
    world.host.known = { epoch: 70, setVersion: 90 }
    await world.control.recoverVolume('v', { off: ['c'] })
    const entry = await world.store.get(keys.head('v'))
    const head = decodeValue('volume', entry!.key, entry!.value)
    expect(head).toMatchObject({ uuid, epoch: 70 + RECOVERY_STEP, setVersion: 90 + RECOVERY_STEP })
    expect(head.out.map(out => out.uuid)).toEqual(['brick-c'])
  })
})

test('placement is explained in runs of ranges that lie alike', () => {
  const peer = (number: number, zone: string, draining = false): PlaceablePeer => ({
    id: `p${number}`,
    value: { number, addresses: [], labels: { zone }, draining },
  })
  const volume = { uuid: '0a4d55a8-d778-4022-9f2c-1a9c5a9e5a11', replicas: 2 }
  const two = [peer(1, 'a'), peer(2, 'b')]
  expect(
    explainPlacement(
      volume,
      [
        [1, 2],
        [1, 2],
        [2, 1],
      ],
      two,
    ),
  ).toMatchObject([
    { firstRange: 0, lastRange: 1, peers: ['p1', 'p2'], why: 'every peer has a copy' },
    { firstRange: 2, lastRange: 2 },
  ])
  expect(explainPlacement(volume, [[1]], [peer(1, 'a')])[0]?.why).toBe(
    '1 of 2 replicas: no other host has room for more',
  )
  expect(explainPlacement(volume, [[1]], two)[0]?.why).toBe('1 of 2 replicas: another is to be made')
  const one = { ...volume, replicas: 1 }
  expect(explainPlacement(one, [[1, 2]], two)[0]?.why).toBe('2 replicas, 1 wanted: what is too many goes')
  expect(explainPlacement(volume, [[1, 2]], [peer(1, 'a', true), peer(2, 'b')])[0]?.why).toBe(
    'p1 is being drained',
  )
  const three = [...two, peer(3, 'c')]
  const reasons = explainPlacement(
    volume,
    [
      [1, 2],
      [2, 3],
      [1, 3],
    ],
    three,
  ).map(({ why }) => why)
  expect(reasons).toContain('won the weighted draw among 3 peers, in different zones')
})
