import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'
import { effectiveAccess, formatNbdAccess, parseNbdAccess, permitsNbd } from './nbd-access.ts'
import { nbdUris } from './nbd-uris.ts'

const ALICE = 'iqn.1993-08.org.debian:alice'
const plain = { tls: false, identity: null, remoteAddress: '127.0.0.1:9' }
const alice = { tls: true, identity: 'alice', remoteAddress: '127.0.0.1:9' }

describe('NBD exports', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
    await world.control.createVolume({ name: 'demo', sizeBytes: 2 ** 30 })
  })
  afterEach(() => world.destroy())

  const find = (client: typeof plain | typeof alice, name = 'demo') =>
    world.plane.exports.find(name, client).found
  const listed = (client: typeof plain | typeof alice) =>
    world.plane.exports.list(client).map(({ name }) => name)

  test('a new volume is open to all; the empty name is none unless configured', () => {
    expect([find(plain), find(alice)]).toEqual(['yes', 'yes'])
    expect(world.plane.exports.list(plain)).toEqual([{ name: 'demo', description: '1GiB' }])
    expect([find(plain, ''), find(plain, 'nothing'), find(plain, '__proto__')]).toEqual(['no', 'no', 'no'])
  })

  test('a volume whose target has an ACL or CHAP is hidden, and listeners are told', async () => {
    let told = 0
    world.plane.exports.onChange(() => told++)
    await world.control.addAcl('demo', ALICE)
    expect([find(plain), find(alice), listed(plain)]).toEqual(['no', 'no', []])
    expect(told).toBeGreaterThan(0)
    await world.control.addAcl('demo', 'all')
    expect(find(plain)).toBe('yes')
    await world.control.setChap('demo', { user: 'u', secret: 'twelve bytes' })
    expect(find(plain)).toBe('no')
    expect(await world.control.showVolume('demo')).toMatchObject({ nbd: 'off' })
  })

  test('set: off hides it, tls opens it to proven identities alone, open is refused behind a guarded target', async () => {
    const { control } = world
    expect(await control.setVolume('demo', { nbd: 'off' })).toMatchObject({ nbd: 'off' })
    expect([find(plain), find(alice)]).toEqual(['no', 'no'])
    await control.setVolume('demo', { nbd: 'tls' })
    expect([find(plain), find(alice)]).toEqual(['no', 'yes'])
    await control.setVolume('demo', { nbd: 'tls:bob' })
    expect(find(alice)).toBe('no')
    await control.addAcl('demo', ALICE)
    expect(await control.setVolume('demo', { nbd: 'tls:bob,alice' })).toMatchObject({ nbd: 'tls:alice,bob' })
    expect([find(plain), find(alice)]).toEqual(['no', 'yes'])
    await expect(control.setVolume('demo', { nbd: 'open' })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT_INVALID',
    })
    await expect(control.setVolume('demo', { nbd: 'sometimes' })).rejects.toThrow("not 'sometimes'")
    const more = { replicas: 2, allowDegraded: true }
    await expect(control.setVolume('demo', { ...more, nbd: 'open' })).rejects.toThrow('is behind')
    await expect(control.setVolume('demo', { ...more, limits: { iops: -1 } })).rejects.toThrow()
    expect(await control.showVolume('demo')).toMatchObject({ replicas: 1 })
    expect(await control.setVolume('demo', { ...more, nbd: 'tls' })).toMatchObject({
      replicas: 2,
      nbd: 'tls',
    })
  })

  test('resize: only where it is configured, for those who may, and as long as they may', async () => {
    const { control } = world
    const resizeOf = (client: typeof plain | typeof alice) => {
      const lookup = world.plane.exports.find('demo', client)
      return lookup.found === 'yes' ? lookup.export.resize : null
    }
    await control.setVolume('demo', { nbd: 'open+resize' })
    expect(resizeOf(plain)).toBe(null)
    world.nbdResize = true
    await world.restart()
    await resizeOf(plain)!(2 * 2 ** 30)
    expect(world.plane.serving.volume('demo')?.sizeBytes).toBe(2 * 2 ** 30)
    await expect(resizeOf(plain)!(2 ** 30)).rejects.toMatchObject({ code: 'ERR_VOLUME_SHRINK' })
    await expect(resizeOf(plain)!(2 ** 30 + 1)).rejects.toMatchObject({ code: 'ERR_SIZE_INVALID' })
    const opened = resizeOf(plain)!
    await world.control.setVolume('demo', { nbd: 'tls:alice+resize,bob' })
    await expect(opened(3 * 2 ** 30)).rejects.toMatchObject({ code: 'ERR_RESIZE_FORBIDDEN' })
    expect(resizeOf({ ...alice, identity: 'bob' })).toBe(null)
    await resizeOf(alice)!(3 * 2 ** 30)
    expect(await world.control.showVolume('demo')).toMatchObject({
      nbd: 'tls:alice+resize,bob',
      sizeBytes: 3 * 2 ** 30,
    })
  })

  test('a volume that is being deleted is no export', async () => {
    await world.control.deleteVolume('demo', { force: false })
    expect([find(plain), listed(plain)]).toEqual(['no', []])
  })
})

test('access: every written form is read back, others are refused', () => {
  for (const text of ['off', 'open', 'open+resize', 'tls', 'tls:a', 'tls+resize:a,b', 'tls:a+resize,b']) {
    expect(formatNbdAccess(parseNbdAccess(text))).toBe(text)
  }
  for (const text of [
    '',
    'on',
    'open:a',
    'off:',
    'off+resize',
    'tls:',
    'tls:+resize',
    'tls:a,',
    'tls:a:b',
    'tls:a b',
  ]) {
    expect(() => parseNbdAccess(text)).toThrow('NBD access is')
  }
})

test('access: what was set to open before its target was guarded is off', () => {
  const target = { luns: [], openToAll: false, acl: [], chap: null, chapByInitiator: {}, createdAt: '' }
  const open = parseNbdAccess('open')
  expect(effectiveAccess(open, []).mode).toBe('open')
  expect(effectiveAccess(open, [{ ...target, openToAll: true }, target]).mode).toBe('off')
  expect(permitsNbd(effectiveAccess(undefined, [target]), 'alice')).toBe(false)
})

test('URIs: one per listener that would let the volume be opened', () => {
  const tcp = { listener: 0, address: '0.0.0.0:10809', advertised: null, unix: false } as const
  const unix = { listener: 1, address: '/run/nbd.sock', advertised: null, unix: true } as const
  const uris = (access: string, tls: 'off' | 'optional' | 'required') =>
    nbdUris('demo', parseNbdAccess(access), [
      { ...tcp, tls },
      { ...unix, tls },
    ])
  expect(uris('open', 'off')).toEqual(['nbd://127.0.0.1:10809/demo', 'nbd+unix:///demo?socket=/run/nbd.sock'])
  expect(uris('open', 'required')[0]).toBe('nbds://127.0.0.1:10809/demo')
  expect(uris('tls', 'optional')[1]).toBe('nbds+unix:///demo?socket=/run/nbd.sock')
  expect([uris('tls', 'off'), uris('off', 'optional')]).toEqual([[], []])
})
