import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'
import { checkInBrick, joinCluster } from './cluster.ts'
import { EVENTS_KEPT, EventSource } from './events.ts'
import { encodeValue, keys } from './layout.ts'
import { reservationStorage } from './volume-state-storage.ts'

const GIB = 2 ** 30

describe('cluster', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
  })
  afterEach(() => world.destroy())

  const join = (id: string) => joinCluster(world.store, { id, addresses: [], labels: {} })

  test('join: the first founds the cluster, numbers are given once and kept', async () => {
    const first = await join('peer-1')
    expect(first).toMatchObject({ peerNumber: 1, founded: false })
    const others = await Promise.all(['b', 'c', 'd'].map(join))
    expect(others.map(peer => peer.peerNumber).sort()).toEqual([2, 3, 4])
    expect(others.every(peer => peer.clusterId === first.clusterId)).toBe(true)
    expect(await join('peer-1')).toEqual(first)
    await expect(join('Peer')).rejects.toMatchObject({ code: 'ERR_NAME_INVALID' })
  })

  test('join: metadata of a newer layout is refused', async () => {
    const value = { layout: 2, id: 'x', createdAt: '', nextPeerNumber: 1 }
    await world.store.transact({
      compare: [],
      success: [{ do: 'put', key: keys.cluster, value: encodeValue('cluster', value) }],
    })
    await expect(join('peer-1')).rejects.toMatchObject({ code: 'ERR_METADATA_FORMAT' })
  })

  test('peers: the one that runs here shows its capacity, others are down', async () => {
    await join('b')
    await world.restart()
    expect(await world.control.listPeers()).toMatchObject([
      { id: 'peer-1', number: 1, state: 'up', capacityBytes: 100, usedBytes: 10 },
      { id: 'b', number: 2, state: 'down', capacityBytes: 0 },
    ])
  })

  test('brick: one whose open counter the metadata has seen already is refused', async () => {
    const checkIn = (openCounter: number) => checkInBrick(world.store, { uuid: 'u', openCounter }, 'peer-1')
    await checkIn(1)
    await checkIn(3)
    await expect(checkIn(3)).rejects.toMatchObject({ code: 'ERR_BRICK_STALE' })
    await expect(checkIn(2)).rejects.toMatchObject({ code: 'ERR_BRICK_STALE' })
    await checkIn(4)
  })

  test('events: newest first, over a restart, and no more than are kept', async () => {
    const { control } = world
    await control.createVolume({ name: 'demo', sizeBytes: GIB })
    await control.resizeVolume('demo', 2 * GIB)
    expect((await control.listEvents(2)).map(event => event.kind)).toEqual([
      'volume.resized',
      'volume.created',
    ])
    expect((await control.listEvents(1))[0]?.message).toBe('volume demo grew from 1GiB to 2GiB')
    // A clock that was set back does not reorder them.
    world.nowMs -= 1_000_000
    await world.restart()
    await world.control.setVolume('demo', { readOnly: true })
    expect((await world.control.listEvents(10)).map(event => event.kind)).toEqual([
      'volume.changed',
      'volume.resized',
      'volume.created',
      'peer.joined',
      'cluster.founded',
    ])
    expect(await world.control.listEvents(0)).toEqual([])
  })

  test('events: old ones are forgotten in batches', async () => {
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    const source = new EventSource(() => 1, 'x')
    for (let done = 0; done < 1200; done += 100) {
      const success = Array.from({ length: 100 }, () => {
        const { id, value } = source.next('test', 'demo', 'old')
        return { do: 'put', key: keys.event(id), value: encodeValue('event', value) } as const
      })
      await world.store.transact({ compare: [], success })
    }
    for (let at = 0; at < 4; at++) await world.control.setVolume('demo', { readOnly: at % 2 === 0 })
    const events = await world.control.listEvents(10_000)
    expect(events.length).toBeLessThan(EVENTS_KEPT + 100)
    expect(events.length).toBeGreaterThanOrEqual(EVENTS_KEPT)
    expect(events[0]?.kind).toBe('volume.changed')
  })

  test('reservations: saved by compare-and-set, for this volume and epoch only, and gone with it', async () => {
    const { control, store } = world
    const volume = await control.createVolume({ name: 'demo', sizeBytes: GIB })
    const mine = reservationStorage(store, volume)
    expect(await mine.load()).toBeNull()
    const first = await mine.save(Buffer.from('one'), 0n)
    await control.resizeVolume('demo', 2 * GIB)
    const second = await mine.save(Buffer.from('two'), first)
    expect(await mine.load()).toEqual({ bytes: Buffer.from('two'), token: second })
    for (const save of [
      () => mine.save(Buffer.from('late'), first),
      () => reservationStorage(store, { ...volume, epoch: 2 }).save(Buffer.from('x'), second),
      () => reservationStorage(store, { ...volume, uuid: 'other' }).save(Buffer.from('x'), second),
    ]) {
      await expect(save()).rejects.toMatchObject({ code: 'ERR_METADATA_CONFLICT' })
    }
    await control.deleteVolume('demo', { force: false })
    await world.jobsDone()
    expect(await mine.load()).toBeNull()
    await expect(mine.save(Buffer.from('x'), 0n)).rejects.toMatchObject({ code: 'ERR_METADATA_CONFLICT' })
  })
})
