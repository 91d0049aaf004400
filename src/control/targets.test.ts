import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'

const GIB = 2 ** 30
const DEMO = 'iqn.2026-11.io.holdfast:demo'
const ALICE = 'iqn.1993-08.org.debian:alice'
const BOB = 'iqn.1993-08.org.debian:bob'
const SECRET = 'twelve bytes'

describe('targets', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
  })
  afterEach(() => world.destroy())

  const lookUp = (initiator: string, target = DEMO) => world.lookUp(target, initiator)
  const discovered = (initiator: string, name: string | null = null) =>
    world.plane.directory
      .discover(initiator, name, { listener: 0, localAddress: '127.0.0.1:3260' })
      .map(target => target.name)

  test('target: created by short or full name, refused when taken or unknown', async () => {
    const { control } = world
    expect(await control.createTarget('shared')).toMatchObject({
      iqn: 'iqn.2026-11.io.holdfast:shared',
      luns: [],
      openToAll: true,
    })
    await control.createTarget('iqn.2001-04.com.example:x')
    await expect(control.createTarget('shared')).rejects.toMatchObject({ code: 'ERR_TARGET_EXISTS' })
    await expect(control.showTarget('none')).rejects.toMatchObject({ code: 'ERR_TARGET_NOT_FOUND' })
    await expect(control.createTarget('a b')).rejects.toMatchObject({ code: 'ERR_NAME_INVALID' })
    expect((await control.listTargets()).map(target => target.iqn)).toEqual([
      'iqn.2001-04.com.example:x',
      DEMO,
      'iqn.2026-11.io.holdfast:shared',
    ])
    expect(lookUp(ALICE, 'IQN.2001-04.com.example:X').found).toBe('yes')
    expect(lookUp(ALICE, 'iqn.2001-04.com.example:y').found).toBe('no')
    expect(lookUp(ALICE, 'not a name').found).toBe('no')
  })

  test('lun: comes and goes while the target is served, and its address must be free', async () => {
    const { control } = world
    await control.createVolume({ name: 'b', sizeBytes: GIB, target: false })
    await control.addLun('demo', 3, 'b', { readOnly: true })
    expect(world.targets.get(DEMO)?.history.at(-1)).toBe('0:demo, 3:b ro')
    await expect(control.addLun('demo', 0, 'b', { readOnly: false })).rejects.toMatchObject({
      code: 'ERR_LUN_EXISTS',
    })
    await expect(control.addLun('demo', 5, 'b', { readOnly: false })).rejects.toMatchObject({
      code: 'ERR_LUN_EXISTS',
    })
    await expect(control.addLun('demo', 256, 'b', { readOnly: false })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT_INVALID',
    })
    await expect(control.addLun('demo', 1, 'none', { readOnly: false })).rejects.toMatchObject({
      code: 'ERR_VOLUME_NOT_FOUND',
    })
    world.sessions.add({ target: DEMO })
    await expect(control.removeLun('demo', 3, { force: false })).rejects.toMatchObject({
      code: 'ERR_TARGET_BUSY',
    })
    await control.removeLun('demo', 3, { force: true })
    expect(world.targets.get(DEMO)?.history.at(-1)).toBe('0:demo')
    await expect(control.removeLun('demo', 3, { force: true })).rejects.toMatchObject({
      code: 'ERR_LUN_NOT_FOUND',
    })
  })

  test('target delete, lun remove: refused while an initiator uses a LUN of it at another daemon, but for force', async () => {
    const { control, host } = world
    await control.createVolume({ name: 'b', sizeBytes: GIB })
    await control.addLun('demo', 3, 'b', { readOnly: false })
    host.usersElsewhere = ['an NBD client']
    await control.removeLun('demo', 3, { force: false })
    host.usersElsewhere = [ALICE]
    const busy = { code: 'ERR_TARGET_BUSY', message: expect.stringContaining(`another daemon by ${ALICE}`) }
    await expect(control.removeLun('demo', 0, { force: false })).rejects.toMatchObject(busy)
    await expect(control.deleteTarget('demo', { force: false })).rejects.toMatchObject(busy)
    host.usersElsewhere = null
    await expect(control.deleteTarget('demo', { force: false })).rejects.toThrow('cannot be told now')
    await control.deleteTarget('demo', { force: true })
  })

  test('target delete: refused while in use, and with force its sessions end; the volume stays', async () => {
    const { control, sessions } = world
    sessions.add({ target: DEMO })
    await expect(control.deleteTarget('demo', { force: false })).rejects.toMatchObject({
      code: 'ERR_TARGET_BUSY',
    })
    await control.deleteTarget('demo', { force: true })
    expect(sessions.list).toEqual([])
    expect(lookUp(ALICE).found).toBe('no')
    expect((await control.showVolume('demo')).targets).toEqual([])
    expect(world.targets.get(DEMO)?.history.at(-1)).toBe('')
  })

  test('acl: only entries may log in or discover; without the last one nobody may', async () => {
    const { control, sessions } = world
    expect(discovered(ALICE)).toEqual([DEMO])
    await control.addAcl('demo', ALICE.toUpperCase())
    expect(lookUp(ALICE.toUpperCase()).found).toBe('yes')
    expect(lookUp(BOB).found).toBe('forbidden')
    expect(discovered(BOB)).toEqual([])
    expect(discovered(ALICE, DEMO)).toEqual([DEMO])
    expect(discovered(ALICE, 'iqn.2026-11.io.holdfast:none')).toEqual([])
    sessions.add({ target: DEMO, initiator: ALICE })
    sessions.add({ target: DEMO, initiator: BOB })
    const shown = await control.removeAcl('demo', ALICE)
    expect(shown).toMatchObject({ acl: [], openToAll: false })
    expect(sessions.list.map(session => session.initiator)).toEqual([BOB])
    expect(lookUp(ALICE).found).toBe('forbidden')
    await control.addAcl('demo', 'all')
    expect(lookUp(BOB).found).toBe('yes')
    await expect(control.addAcl('demo', 'bob')).rejects.toMatchObject({ code: 'ERR_NAME_INVALID' })
  })

  test('chap: an initiator of its own comes before the target, and no answer shows a secret', async () => {
    const { control } = world
    const shown = await control.setChap('demo', { user: 'everybody', secret: SECRET })
    expect(shown.chap).toEqual({ user: 'everybody', secret: '********' })
    await control.setChap('demo', {
      initiator: ALICE,
      user: 'alice',
      secret: 'secret of alice',
      mutualUser: 'target',
      mutualSecret: 'secret of target',
    })
    expect(lookUp(BOB)).toMatchObject({ chap: { user: 'everybody', secret: Buffer.from(SECRET) } })
    expect(lookUp(ALICE)).toMatchObject({
      chap: {
        user: 'alice',
        secret: Buffer.from('secret of alice'),
        mutual: { user: 'target', secret: Buffer.from('secret of target') },
      },
    })
    expect(lookUp('constructor')).toMatchObject({ chap: { user: 'everybody' } })
    expect(JSON.stringify(await control.listTargets())).not.toContain('secret of')
    await control.clearChap('demo', ALICE)
    expect(lookUp(ALICE)).toMatchObject({ chap: { user: 'everybody' } })
    await control.clearChap('demo', null)
    expect(lookUp(ALICE)).toMatchObject({ found: 'yes', chap: null })
  })

  test('chap: short, long, half and shared secrets are refused without naming them', async () => {
    const { control } = world
    const cases: [Parameters<typeof control.setChap>[1], string][] = [
      [{ user: 'u', secret: 'eleven byte' }, 'ERR_CHAP_SECRET'],
      [{ user: 'u', secret: 'ä'.repeat(128) }, 'ERR_CHAP_SECRET'],
      [{ user: '', secret: SECRET }, 'ERR_ARGUMENT_INVALID'],
      [{ user: 'u\n', secret: SECRET }, 'ERR_ARGUMENT_INVALID'],
      [{ user: 'u', secret: SECRET, mutualUser: 't' }, 'ERR_ARGUMENT_INVALID'],
      [{ user: 'u', secret: SECRET, mutualUser: 't', mutualSecret: SECRET }, 'ERR_CHAP_SECRET'],
    ]
    for (const [chap, code] of cases) {
      const error = await control.setChap('demo', chap).catch((e: Error) => e)
      expect(error).toMatchObject({ code })
      expect((error as Error).message).not.toContain(chap.secret)
    }
    await control.setChap('demo', { initiator: ALICE, user: 'alice', secret: SECRET })
    await expect(
      control.setChap('demo', { user: 'u', secret: 'other secret', mutualUser: 't', mutualSecret: SECRET }),
    ).rejects.toMatchObject({ code: 'ERR_CHAP_SECRET' })
    await control.setChap('demo', { user: 'u', secret: 'x'.repeat(255) })
  })

  test('discovery chap: set, kept over a restart, cleared', async () => {
    await world.control.setDiscoveryChap({ user: 'finder', secret: SECRET })
    await world.restart()
    expect(world.plane.directory.discoveryChap()).toEqual({ user: 'finder', secret: Buffer.from(SECRET) })
    await world.control.clearDiscoveryChap()
    expect(world.plane.directory.discoveryChap()).toBeNull()
  })

  test('discovery: each portal is told as this client can reach it, the dialled one first', () => {
    const addresses = (listener: number, localAddress: string) =>
      world.plane.directory
        .discover(ALICE, null, { listener, localAddress })[0]
        ?.portals.map(portal => portal.address)
    world.portals = [
      { listener: 0, address: '127.0.0.1:3260', advertised: null },
      { listener: 1, address: '0.0.0.0:3261', advertised: null },
      { listener: 2, address: '[::]:3262', advertised: null },
      { listener: 3, address: '10.0.0.1:3263', advertised: '192.0.2.1:860' },
    ]
    expect(addresses(1, '10.0.0.5:3261')).toEqual([
      '10.0.0.5:3261',
      '127.0.0.1:3260',
      '10.0.0.5:3262',
      '192.0.2.1:860',
    ])
    expect(addresses(2, '[2001:db8::1]:3262')).toEqual([
      '[2001:db8::1]:3262',
      '127.0.0.1:3260',
      '192.0.2.1:860',
    ])
    expect(addresses(2, '[::ffff:10.0.0.5]:3262')?.[0]).toBe('10.0.0.5:3262')
    expect(addresses(0, '127.0.0.1:3260')?.[0]).toBe('127.0.0.1:3260')
    const [found] = world.plane.directory.discover(ALICE, null, {
      listener: 0,
      localAddress: '127.0.0.1:3260',
    })
    expect(found?.portals[0]?.portalGroupTag).toBe(1)
  })

  test('look-up: a volume that cannot be opened makes its targets unavailable, not absent', async () => {
    world.host.step = what => {
      if (what === 'open demo') throw new Error('the brick is recovering')
    }
    await world.restart()
    expect(lookUp(ALICE).found).toBe('unavailable')
    world.host.step = () => {}
    await world.restart()
    expect(lookUp(ALICE).found).toBe('yes')
  })

  test('look-up: nothing is proven while the metadata cannot be read', async () => {
    await world.plane[Symbol.asyncDispose]()
    expect(lookUp(ALICE).found).toBe('unavailable')
    expect(lookUp(ALICE, 'iqn.2026-11.io.holdfast:none').found).toBe('unavailable')
    world.plane = await world.openPlane('peer-1')
    expect(lookUp(ALICE).found).toBe('yes')
  })

  test('sessions: listed, kicked by id with an event, and unknown ones refused', async () => {
    const { control, sessions } = world
    sessions.add({ target: DEMO })
    const [only] = (await control.listSessions()).sessions
    expect(only).toMatchObject({ id: 'iscsi-1@peer-1', peer: 'peer-1', target: DEMO })
    await control.kickSession('iscsi-1@peer-1')
    expect(await control.listSessions()).toEqual({ sessions: [], silent: [] })
    for (const id of ['iscsi-1@peer-1', 'iscsi-1', 'iscsi-1@peer-2', '']) {
      await expect(control.kickSession(id)).rejects.toMatchObject({ code: 'ERR_SESSION_NOT_FOUND' })
    }
    expect((await control.listEvents(1))[0]).toMatchObject({
      kind: 'session.kicked',
      subject: 'iscsi-1@peer-1',
    })
    sessions.add({ target: DEMO })
    await control.kickSession(sessions.list[0]!.id)
    expect(sessions.list).toEqual([])
  })
})
