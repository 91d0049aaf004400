import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld, FakeHost, FakeSessions } from '../../test/lib/control-world.ts'
import { NO_LIMITS } from '../volume/throttle/volume-limits.ts'
import { keys } from './layout.ts'

const GIB = 2 ** 30
const DEMO_TARGET = 'iqn.2026-11.io.holdfast:demo'

describe('volumes', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
  })
  afterEach(() => world.destroy())

  const refused = (code: string, message: string | RegExp = '') =>
    expect.objectContaining({
      code,
      message:
        typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
    })

  test('create: a volume has its target, a frozen NAA, and is served when the call returns', async () => {
    const shown = await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    expect(shown).toMatchObject({
      name: 'demo',
      sizeBytes: GIB,
      blockSizeBytes: 512,
      replicas: 1,
      minReplicas: 1,
      state: 'ready',
      usedBytes: 8192,
      targets: [{ iqn: DEMO_TARGET, lun: 0, readOnly: false }],
      uris: [`iscsi://127.0.0.1:3260/${DEMO_TARGET}/0`],
      sessions: 0,
    })
    expect(shown.naa).toMatch(/^602484f[0-9a-f]{25}$/)
    expect(shown.naa.slice(7, 19)).toBe(shown.uuid.replaceAll('-', '').slice(0, 12))
    expect(world.targets.get(DEMO_TARGET)?.history.at(-1)).toBe('0:demo')
    await world.restart()
    expect(await world.control.showVolume('demo')).toEqual(shown)
    expect(world.targets.get(DEMO_TARGET)?.history.at(-1)).toBe('0:demo')
  })

  test('show: a peer that replicates with nobody owns what it serves, and nothing is missing', async () => {
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    const here = (await world.control.listPeers())[0]!.id
    expect((await world.control.showVolume('demo')).replication).toMatchObject({
      owner: here,
      health: 'ok',
      members: [{ peer: here, state: 'in sync' }],
    })
    const { volumes } = await world.control.overview()
    expect(volumes).toEqual({ ok: 1, degraded: 0, waiting: 0 })
  })

  test('create: bad names, sizes, block sizes and replicas are refused and leave nothing', async () => {
    const { control } = world
    const cases: [Parameters<typeof control.createVolume>[0], string, string][] = [
      [{ name: 'My Disk', sizeBytes: GIB }, 'ERR_NAME_INVALID', "'my-disk' would do"],
      [{ name: 'a', sizeBytes: 1000 }, 'ERR_SIZE_INVALID', 'the least is 4KiB'],
      [{ name: 'a', sizeBytes: 5000 }, 'ERR_SIZE_INVALID', 'for example 5120'],
      [{ name: 'a', sizeBytes: 8192.5 }, 'ERR_SIZE_INVALID', 'whole number'],
      [{ name: 'a', sizeBytes: 2 ** 51 }, 'ERR_SIZE_INVALID', 'the most is 1PiB'],
      [{ name: 'a', sizeBytes: 4608, blockSizeBytes: 4096 }, 'ERR_SIZE_INVALID', 'block size 4096'],
      [{ name: 'a', sizeBytes: GIB, blockSizeBytes: 1024 as 512 }, 'ERR_ARGUMENT_INVALID', '1024'],
      [{ name: 'a', sizeBytes: GIB, replicas: 2 }, 'ERR_REPLICAS_UNAVAILABLE', '--allow-degraded'],
      [{ name: 'a', sizeBytes: GIB, replicas: 6 }, 'ERR_ARGUMENT_INVALID', 'from 1 to 5'],
      [{ name: 'a', sizeBytes: GIB, minReplicas: 2 }, 'ERR_ARGUMENT_INVALID', 'from 1 to 1'],
    ]
    for (const [volume, code, message] of cases) {
      await expect(control.createVolume(volume)).rejects.toThrow(refused(code, message))
    }
    expect(await control.listVolumes()).toEqual([])
    expect((await world.store.range('v/')).entries).toEqual([])
    expect(world.host.made.size).toBe(0)
  })

  test('create: a degraded volume is made when that is asked for', async () => {
    const shown = await world.control.createVolume({
      name: 'a',
      sizeBytes: GIB,
      replicas: 3,
      allowDegraded: true,
    })
    expect(shown).toMatchObject({ replicas: 3, minReplicas: 1, minReplicasWanted: 2 })
    const confirmed = await world.control.setVolume('a', { minReplicas: 1 })
    expect(confirmed).toMatchObject({ minReplicas: 1, minReplicasWanted: null })
    const more = world.control.setVolume('a', { replicas: 4 })
    await expect(more).rejects.toThrow(refused('ERR_REPLICAS_UNAVAILABLE', /confirm with --allow-degraded$/))
  })

  test('create: a taken name and a taken target are refused', async () => {
    const { control } = world
    await control.createVolume({ name: 'demo', sizeBytes: GIB })
    await expect(control.createVolume({ name: 'demo', sizeBytes: GIB })).rejects.toThrow(
      refused('ERR_VOLUME_EXISTS', "'demo' exists"),
    )
    await control.createTarget('other')
    await expect(control.createVolume({ name: 'other', sizeBytes: GIB })).rejects.toThrow(
      refused('ERR_TARGET_EXISTS', 'io.holdfast:other'),
    )
    await control.createVolume({ name: 'other', sizeBytes: GIB, target: false })
    expect((await control.showVolume('other')).targets).toEqual([])
  })

  test('create: of two control instances that make the same name one wins', async () => {
    const other = await world.openPlane('peer-2', world.store, new FakeHost())
    const results = await Promise.allSettled([
      world.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 }),
      other.control.createVolume({ name: 'demo', sizeBytes: GIB, replicas: 1 }),
    ])
    expect(results.map(result => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    const uuids = [await world.control.showVolume('demo'), await other.control.showVolume('demo')].map(
      volume => volume.uuid,
    )
    expect(uuids[0]).toBe(uuids[1])
    await other[Symbol.asyncDispose]()
  })

  test('delete: a LUN that another instance adds at the same time never outlives its volume', async () => {
    const other = await world.openPlane('peer-2', world.store, new FakeHost())
    await world.control.createTarget('shared')
    for (let round = 0; round < 10; round++) {
      const name = `v${round}`
      await world.control.createVolume({ name, sizeBytes: GIB, target: false })
      await Promise.allSettled([
        other.control.addLun('shared', round, name, { readOnly: false }),
        world.control.deleteVolume(name, { force: true }),
      ])
      await world.jobsDone()
      expect((await world.control.showTarget('shared')).luns).toEqual([])
    }
    expect(await world.control.listVolumes()).toEqual([])
    await other[Symbol.asyncDispose]()
  })

  test('create: a big volume is placed in pages of 64 ranges', async () => {
    await world.control.createVolume({ name: 'big', sizeBytes: 40 * 2 ** 40 + 4096 })
    const pages = await world.store.range(`${keys.volume('big')}r/`)
    expect(pages.entries).toHaveLength(161)
    const last = JSON.parse(pages.entries.at(-1)!.value.toString().split('\n')[1]!)
    expect(last).toEqual({ ranges: [[1]] })
    await world.control.resizeVolume('big', 41 * 2 ** 40)
    expect((await world.store.range(`${keys.volume('big')}r/`)).entries).toHaveLength(164)
  })

  test('resize: the served volume grows while it is open, and less is refused', async () => {
    const { control, host } = world
    const { uuid } = await control.createVolume({ name: 'demo', sizeBytes: GIB })
    expect((await control.resizeVolume('demo', 2 * GIB)).sizeBytes).toBe(2 * GIB)
    expect(host.open.get(uuid)?.sizeBytes).toBe(2 * GIB)
    await expect(control.resizeVolume('demo', GIB)).rejects.toThrow(refused('ERR_VOLUME_SHRINK', 'has 2GiB'))
    await expect(control.resizeVolume('demo', 2 * GIB + 1)).rejects.toThrow(refused('ERR_SIZE_INVALID'))
    await expect(control.resizeVolume('none', GIB)).rejects.toThrow(refused('ERR_VOLUME_NOT_FOUND', "'none'"))
  })

  test('resize: bricks that missed it before a crash grow at the next start', async () => {
    const { control, host } = world
    const { uuid } = await control.createVolume({ name: 'demo', sizeBytes: GIB })
    host.step = what => {
      if (what.startsWith('grow')) throw new Error('crash')
    }
    // Answered when the size is served, which does not come.
    void control.resizeVolume('demo', 2 * GIB)
    await expect.poll(async () => (await control.showVolume('demo')).sizeBytes).toBe(2 * GIB)
    expect(host.made.get(uuid)?.sizeBytes).toBe(GIB)
    host.step = () => {}
    await world.restart()
    expect(host.made.get(uuid)?.sizeBytes).toBe(2 * GIB)
    expect(host.open.get(uuid)?.sizeBytes).toBe(2 * GIB)
  })

  test('set: read-only is switched on the volume that is open', async () => {
    const { uuid } = await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    expect((await world.control.setVolume('demo', { readOnly: true })).readOnly).toBe(true)
    expect(world.host.open.get(uuid)?.readOnly).toBe(true)
    await world.control.setVolume('demo', { readOnly: false })
    expect(world.host.open.get(uuid)?.readOnly).toBe(false)
  })

  test('set: limits are kept, applied to the open volume, changed one by one and taken away', async () => {
    const limits = { iops: 500, iopsBurst: 1000 }
    const { uuid } = await world.control.createVolume({ name: 'demo', sizeBytes: GIB, limits })
    const both = { ...limits, bytesPerSecond: 100 * 2 ** 20, burstBytes: null }
    await world.control.setVolume('demo', { limits: { bytesPerSecond: both.bytesPerSecond } })
    expect((await world.control.showVolume('demo')).limits).toEqual(both)
    expect(world.host.open.get(uuid)?.limits).toEqual(both)
    await world.restart()
    expect(world.host.open.get(uuid)?.limits).toEqual(both)
    await world.control.setVolume('demo', { limits: { iops: null, bytesPerSecond: 0 } })
    expect(world.host.open.get(uuid)?.limits).toEqual(NO_LIMITS)
    const [newest] = await world.control.listEvents(1)
    expect(newest?.message).toBe('volume demo is without limits')
  })

  test('limits: what makes no sense is refused and changes nothing', async () => {
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    const cases: [Parameters<typeof world.control.setVolume>[1]['limits'], string][] = [
      [{ iopsBurst: 5 }, 'a burst of operations needs a limit of operations'],
      [{ iops: 100, iopsBurst: -1 }, 'an IOPS burst is at least 1'],
      [{ iops: 2.5 }, 'an IOPS limit is at least 1'],
      [{ bytesPerSecond: 1000 }, 'a bandwidth limit is at least 64KiB'],
    ]
    for (const [limits, message] of cases) {
      await expect(world.control.setVolume('demo', { limits: limits! })).rejects.toThrow(
        refused('ERR_ARGUMENT_INVALID', message),
      )
    }
    expect((await world.control.showVolume('demo')).limits).toEqual(NO_LIMITS)
  })

  test('delete: a volume in use is refused, naming the sessions, and stays usable', async () => {
    const { control, sessions } = world
    await control.createVolume({ name: 'demo', sizeBytes: GIB })
    sessions.add({ target: DEMO_TARGET })
    sessions.add({ target: DEMO_TARGET, id: 'iscsi-2' })
    sessions.add({ target: null, kind: 'discovery', id: 'iscsi-3' })
    await expect(control.deleteVolume('demo', { force: false })).rejects.toThrow(
      refused('ERR_VOLUME_BUSY', 'used by 2 sessions (iqn.1993-08.org.debian:a)'),
    )
    expect(world.lookUp(DEMO_TARGET, 'iqn.1993-08.org.debian:a').found).toBe('yes')
  })

  test('delete: a volume in use at another daemon, or at one that does not answer, is refused but for force', async () => {
    const { control, host } = world
    await control.createVolume({ name: 'demo', sizeBytes: GIB })
    host.usersElsewhere = ['iqn.1993-08.org.debian:b']
    await expect(control.deleteVolume('demo', { force: false })).rejects.toThrow(
      refused('ERR_VOLUME_BUSY', 'used at another daemon by iqn.1993-08.org.debian:b'),
    )
    host.usersElsewhere = null
    await expect(control.deleteVolume('demo', { force: false })).rejects.toThrow(
      refused('ERR_VOLUME_BUSY', 'cannot be told now'),
    )
    expect(await control.deleteVolume('demo', { force: true })).toMatchObject({ kind: 'delete' })
    await world.jobsDone()
  })

  test('delete: sessions at other daemons end with the target of the volume, open to everybody or not', async () => {
    await world.control.createVolume({ name: 'demo', sizeBytes: GIB })
    const plane = await world.openPlane('peer-2', world.store, new FakeHost())
    const there = new FakeSessions()
    plane.sessions.add(there)
    there.add({ target: DEMO_TARGET })
    await world.control.deleteVolume('demo', { force: true })
    await expect.poll(() => there.list).toEqual([])
    await world.jobsDone()
    await plane[Symbol.asyncDispose]()
  })

  test('delete: with force the sessions end, the space is freed, and the name is free', async () => {
    const { control, sessions, host } = world
    const before = await control.createVolume({ name: 'demo', sizeBytes: GIB })
    sessions.add({ target: DEMO_TARGET })
    sessions.add({ protocol: 'nbd', target: 'demo', id: 'nbd-1' })
    const job = await control.deleteVolume('demo', { force: true })
    expect(job).toMatchObject({ kind: 'delete', subject: 'demo', totalBytes: 8192 })
    expect(sessions.kicked).toHaveLength(2)
    expect(world.lookUp(DEMO_TARGET, 'iqn.1993-08.org.debian:a').found).toBe('no')
    await world.jobsDone()
    expect(control.jobs()).toMatchObject([{ state: 'done', doneBytes: 8192, error: null }])
    expect(host.made.size + host.open.size).toBe(0)
    expect((await world.store.range('v/')).entries).toEqual([])
    const again = await control.createVolume({ name: 'demo', sizeBytes: GIB })
    expect(again.uuid).not.toBe(before.uuid)
  })

  test('delete: a LUN of a shared target goes, the target and its other LUNs stay', async () => {
    const { control } = world
    await control.createVolume({ name: 'a', sizeBytes: GIB })
    await control.createVolume({ name: 'b', sizeBytes: GIB })
    await control.addLun('a', 1, 'b', { readOnly: false })
    await control.deleteVolume('a', { force: false })
    await world.jobsDone()
    expect((await control.showTarget('a')).luns).toEqual([{ lun: 1, volume: 'b', readOnly: false }])
    expect(world.targets.get('iqn.2026-11.io.holdfast:a')?.history.at(-1)).toBe('1:b')
  })

  test('delete: a failure is told by the job, and deleting again finishes it', async () => {
    const { control, host } = world
    await control.createVolume({ name: 'demo', sizeBytes: GIB })
    host.step = what => {
      if (what.startsWith('delete')) throw new Error('the brick is gone')
    }
    await control.deleteVolume('demo', { force: false })
    await world.jobsDone()
    expect(control.jobs()).toMatchObject([{ state: 'failed', error: 'the brick is gone' }])
    expect((await control.showVolume('demo')).state).toBe('deleting')
    await expect(control.createVolume({ name: 'demo', sizeBytes: GIB })).rejects.toThrow(
      refused('ERR_VOLUME_EXISTS', 'still being deleted'),
    )
    host.step = () => {}
    await control.deleteVolume('demo', { force: false })
    await world.jobsDone()
    expect(await control.listVolumes()).toEqual([])
  })
})
