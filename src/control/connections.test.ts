import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld, FakeHost, FakeSessions } from '../../test/lib/control-world.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { decodeValue, encodeValue, keys } from './layout.ts'

const GIB = 2 ** 30
const DEMO = 'iqn.2026-11.io.holdfast:demo'
const ALICE = 'iqn.1993-08.org.debian:alice'
const BOB = 'iqn.1993-08.org.debian:bob'
const API = '10.0.0.7:9280'

describe('connections', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
  })
  afterEach(() => world.destroy())

  const lookUp = (initiator: string, target = DEMO) => world.lookUp(target, initiator)
  const connect = (initiator: string, volume = 'demo') => world.control.connect(volume, initiator, API)
  const connectionEvents = async () =>
    (await world.control.listEvents(100)).filter(event => event.kind.startsWith('connection.'))

  test("connect: the initiator alone may log in, with CHAP of its own, and the answer is Cinder's", async () => {
    const properties = await connect(ALICE)
    expect(properties).toEqual({
      target_discovered: false,
      target_portal: '127.0.0.1:3260',
      target_iqn: DEMO,
      target_lun: 0,
      target_portals: ['127.0.0.1:3260'],
      target_iqns: [DEMO],
      target_luns: [0],
      volume_id: (await world.control.showVolume('demo')).uuid,
      auth_method: 'CHAP',
      auth_username: expect.stringMatching(/^[\w-]{16}$/),
      auth_password: expect.stringMatching(/^[\w-]{16}$/),
      discard: true,
      access_mode: 'rw',
    })
    const { auth_username: user, auth_password: secret } = properties
    expect(lookUp(ALICE)).toMatchObject({ found: 'yes', chap: { user, secret: Buffer.from(secret) } })
    expect(lookUp(BOB).found).toBe('forbidden')
  })

  test('connect: again it answers the same and is no event; another initiator has another secret', async () => {
    const first = await connect(ALICE.toUpperCase())
    expect(await connect(ALICE)).toEqual(first)
    expect((await connect(BOB)).auth_password).not.toBe(first.auth_password)
    expect(await connectionEvents()).toMatchObject([
      { kind: 'connection.made', subject: 'demo', message: expect.stringContaining(BOB) },
      { kind: 'connection.made', subject: 'demo', message: expect.stringContaining(ALICE) },
    ])
  })

  test('connect: ten at once for one initiator agree, and ten initiators all get in', async () => {
    const same = await Promise.all(Array.from({ length: 10 }, () => connect(ALICE)))
    expect(new Set(same.map(properties => properties.auth_password)).size).toBe(1)
    const names = Array.from({ length: 10 }, (_, i) => `${BOB}-${i}`)
    await Promise.all(names.map(name => connect(name)))
    expect(names.map(name => lookUp(name).found)).toEqual(names.map(() => 'yes'))
    expect(await connectionEvents()).toHaveLength(11)
  })

  test('connect: every portal is a path; an advertised address and the one that was dialled stand in', async () => {
    world.portals = [
      { listener: 0, address: '0.0.0.0:3260', advertised: null },
      { listener: 1, address: '10.1.0.7:3261', advertised: 'storage.example:3260' },
      { listener: 2, address: '[::]:3262', advertised: null },
    ]
    const properties = await connect(ALICE)
    expect(properties.target_portals).toEqual(['10.0.0.7:3260', 'storage.example:3260', '10.0.0.7:3262'])
    expect(properties).toMatchObject({
      target_portal: '10.0.0.7:3260',
      target_iqns: [DEMO, DEMO, DEMO],
      target_luns: [0, 0, 0],
    })
    world.portals = []
    await expect(connect(BOB)).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
    expect(lookUp(BOB).found).toBe('forbidden')
  })

  test('connect: a read-only volume is ro, and the CHAP of discovery is told', async () => {
    await world.control.setVolume('demo', { readOnly: true })
    await world.control.setDiscoveryChap({ user: 'finder', secret: 'finds targets' })
    expect(await connect(ALICE)).toMatchObject({
      access_mode: 'ro',
      discovery_auth_method: 'CHAP',
      discovery_auth_username: 'finder',
      discovery_auth_password: 'finds targets',
    })
  })

  test("connect: neither other volumes of a target nor an operator's secret are given away", async () => {
    const { control } = world
    await control.createVolume({ name: 'other', sizeBytes: GIB, target: false })
    await control.addLun('demo', 1, 'other', { readOnly: false })
    await expect(connect(ALICE)).rejects.toMatchObject({ code: 'ERR_TARGET_SHARED' })
    // `other` has no target to itself, and gets one.
    expect(await connect(ALICE, 'other')).toMatchObject({ target_iqn: 'iqn.2026-11.io.holdfast:other' })
    expect(lookUp(ALICE, 'iqn.2026-11.io.holdfast:other').found).toBe('yes')
    await control.removeLun('demo', 1, { force: false })
    await control.setChap('demo', { initiator: ALICE, user: 'alice', secret: 'secret of alice' })
    await expect(connect(ALICE)).rejects.toMatchObject({ code: 'ERR_CHAP_EXISTS' })
    await expect(connect(ALICE, 'none')).rejects.toMatchObject({ code: 'ERR_VOLUME_NOT_FOUND' })
    await expect(connect('alice')).rejects.toMatchObject({ code: 'ERR_NAME_INVALID' })
  })

  test('disconnect: the entry goes, its sessions end, others stay; again it is no event', async () => {
    const { control, sessions } = world
    const before = await connect(ALICE)
    await connect(BOB)
    sessions.add({ target: DEMO, initiator: ALICE.toUpperCase() })
    sessions.add({ target: DEMO, initiator: BOB })
    await control.disconnect('demo', ALICE)
    expect(sessions.list.map(session => session.initiator)).toEqual([BOB])
    expect(lookUp(ALICE).found).toBe('forbidden')
    const events = await connectionEvents()
    expect(events[0]).toMatchObject({ kind: 'connection.ended', subject: 'demo' })
    await control.disconnect('demo', ALICE)
    expect(await connectionEvents()).toEqual(events)
    expect((await control.showTarget('demo')).chapByInitiator).not.toHaveProperty(ALICE)
    expect((await connect(ALICE)).auth_password).not.toBe(before.auth_password)
  })

  test('disconnect: also after the target got another volume, whose own entries stay', async () => {
    const { control } = world
    await connect(ALICE)
    await control.addAcl('demo', BOB)
    await control.createVolume({ name: 'other', sizeBytes: GIB, target: false })
    await control.addLun('demo', 1, 'other', { readOnly: false })
    await control.disconnect('demo', BOB)
    await control.disconnect('demo', ALICE)
    expect([lookUp(ALICE).found, lookUp(BOB).found]).toEqual(['forbidden', 'yes'])
  })

  test('disconnect: the last one taken away does not open the target', async () => {
    await connect(ALICE)
    await world.control.disconnect('demo', ALICE)
    expect(await world.control.showTarget('demo')).toMatchObject({ openToAll: false, acl: [] })
  })

  test('disconnect: the owner of each volume within reach is told, with a version that its head has from then on', async () => {
    const { control, host } = world
    await connect(ALICE)
    await control.createVolume({ name: 'other', sizeBytes: GIB, target: false })
    await control.addLun('demo', 1, 'other', { readOnly: false })
    await control.disconnect('demo', ALICE)
    expect(host.fences.toSorted()).toEqual([`demo ${ALICE} 1`, `other ${ALICE} 1`])
    const head = async (name: string) => {
      const entry = await world.store.get(keys.head(name))
      return decodeValue('volume', keys.head(name), entry!.value)
    }
    expect([await head('demo'), await head('other')]).toMatchObject([
      { rightsVersion: 1 },
      { rightsVersion: 1 },
    ])
  })

  test('disconnect: an owner that cannot be told is no success, and asking again tells it', async () => {
    const { control, host } = world
    await connect(ALICE)
    host.step = () => {
      throw new HoldfastError('ERR_BLOCK_UNAVAILABLE')
    }
    await expect(control.disconnect('demo', ALICE)).rejects.toMatchObject({ code: 'ERR_BLOCK_UNAVAILABLE' })
    expect(lookUp(ALICE).found).toBe('forbidden')
    host.step = () => {}
    await control.disconnect('demo', ALICE)
    expect(host.fences).toEqual([`demo ${ALICE} 1`])
  })

  test('removing an ACL entry tells the owners as well; one that is not there takes nothing from anybody', async () => {
    const { control, host } = world
    await control.addAcl('demo', ALICE)
    await control.removeAcl('demo', BOB)
    await control.removeAcl('demo', ALICE)
    expect(host.fences).toEqual([`demo ${BOB} 0`, `demo ${ALICE} 1`])
  })

  test('disconnect: sessions of before end, also where the entry was back before it was seen to be gone', async () => {
    const { control, sessions } = world
    await connect(ALICE)
    sessions.add({ target: DEMO, initiator: ALICE })
    const iqn = keys.target(DEMO)
    const entry = await world.store.get(iqn)
    const target = decodeValue('target', iqn, entry!.value)
    const other = { ...target.chapByInitiator[ALICE]!, user: 'another' }
    const value = encodeValue('target', { ...target, chapByInitiator: { [ALICE]: other } })
    await world.store.transact({ compare: [], success: [{ do: 'put', key: iqn, value }] })
    await expect.poll(() => sessions.list).toEqual([])
    expect((await control.showTarget('demo')).acl).toEqual([ALICE])
  })

  test('disconnect: the sessions at other gateways end too', async () => {
    await connect(ALICE)
    const plane = await world.openPlane('peer-2', world.store, new FakeHost())
    const there = new FakeSessions()
    plane.sessions.add(there)
    for (const initiator of [ALICE, BOB]) there.add({ target: DEMO, initiator })
    await world.control.disconnect('demo', ALICE)
    await expect.poll(() => there.list.map(({ initiator }) => initiator)).toEqual([BOB])
    await plane[Symbol.asyncDispose]()
  })

  test('connect and disconnect at once: the end is that of one of the two orders', async () => {
    for (let round = 0; round < 5; round++) {
      const [, properties] = await Promise.all([world.control.disconnect('demo', ALICE), connect(ALICE)])
      const found = lookUp(ALICE)
      if (found.found === 'yes') expect(found.chap?.user).toBe(properties.auth_username)
      else expect(found.found).toBe('forbidden')
    }
  })
})
