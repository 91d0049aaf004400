import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ControlWorld } from '../../test/lib/control-world.ts'
import type { MetadataStore, Transaction } from '../metadata/metadata-store.ts'
import { decodeValue, encodeValue, keys, type RegistrationValue } from './layout.ts'

const GIB = 2 ** 30
/** 120 placement pages: more than one transaction takes. */
const SIZE = 30 * 2 ** 40

/**
 * 'before' and 'after': the process dies around a step, and in the second case it took effect. 'unheard': it
 * took effect, an error was answered, and the process goes on.
 */
type When = 'before' | 'after' | 'unheard'

/** Counts what control does to the outside, and fails at one of these steps. */
class Crash {
  steps = 0
  #dead = false
  readonly #at: number
  readonly #when: When

  constructor(at: number, when: When) {
    this.#at = at
    this.#when = when
  }

  async step<T>(effect: () => Promise<T>): Promise<T> {
    if (this.#dead) throw new Error('the process is dead')
    const dies = ++this.steps === this.#at
    this.#dead = dies && this.#when !== 'unheard'
    if (dies && this.#when === 'before') throw new Error('crash before a step')
    const result = await effect()
    if (dies) throw new Error('crash after a step')
    return result
  }

  wrap(store: MetadataStore): MetadataStore {
    return {
      get: key => store.get(key),
      range: (prefix, options) => store.range(prefix, options),
      transact: (transaction: Transaction) => this.step(() => store.transact(transaction)),
      watch: (prefix, revision, listener) => store.watch(prefix, revision, listener),
      compact: revision => store.compact(revision),
      grantLease: ttl => store.grantLease(ttl),
      keepLeaseAlive: lease => store.keepLeaseAlive(lease),
      revokeLease: lease => store.revokeLease(lease),
      [Symbol.asyncDispose]: async () => {},
    }
  }
}

describe('crashes', () => {
  let world: ControlWorld
  beforeEach(async () => {
    world = await ControlWorld.create()
    await world.control.createVolume({ name: 'kept', sizeBytes: GIB })
  })
  afterEach(() => world.destroy())

  /** Runs `work` against a control that dies at step `at`, then starts a healthy one. True when it died. */
  async function dieAt(at: number, when: When, work: () => Promise<unknown>): Promise<boolean> {
    const crash = new Crash(at, when)
    const { host } = world
    await world.stop()
    await world.start(store => crash.wrap(store))
    const real = { create: host.createVolume.bind(host), delete: host.deleteVolume.bind(host) }
    host.createVolume = record => crash.step(() => real.create(record))
    host.deleteVolume = (record, progress) => crash.step(() => real.delete(record, progress))
    await work().then(
      () => world.jobsDone(),
      () => {},
    )
    host.createVolume = real.create
    host.deleteVolume = real.delete
    // A killed process closes nothing; its bricks are simply no longer open.
    host.open.clear()
    await world.restart()
    await world.jobsDone()
    return crash.steps >= at
  }

  /** Metadata, bricks and targets tell the same story, and nothing is half-way. */
  async function expectWhole(): Promise<string[]> {
    const { entries } = await world.store.range('')
    const names: string[] = []
    const uuids: string[] = []
    for (const { key, value } of entries) {
      const name = /^v\/(.*)\/h$/.exec(key)?.[1]
      if (name === undefined) continue
      const head = decodeValue('volume', key, value)
      expect(head).toMatchObject({ state: 'ready', pending: null })
      names.push(name)
      uuids.push(head.uuid)
    }
    expect([...world.host.made.keys()].sort()).toEqual(uuids.sort())
    expect([...world.host.open.keys()].sort()).toEqual(uuids.sort())
    for (const { key } of entries) {
      if (key.startsWith('v/')) expect(names).toContain(key.split('/')[1])
    }
    const targets = await world.control.listTargets()
    expect(targets.map(target => target.iqn.split(':')[1])).toEqual(names)
    for (const name of names) expect((await world.control.showVolume(name)).targets).toHaveLength(1)
    return names
  }

  for (const when of ['before', 'after', 'unheard'] as const) {
    test(`create: failing ${when} any step leaves the whole volume or nothing of it`, async () => {
      let crashes = 0
      const outcomes = new Set<boolean>()
      for (let at = 1; ; at++) {
        const create = () => world.control.createVolume({ name: 'new', sizeBytes: SIZE })
        const died = await dieAt(at, when, create)
        const there = (await expectWhole()).includes('new')
        if (!died) {
          expect(there).toBe(true)
          break
        }
        crashes++
        outcomes.add(there)
        if (there) {
          await world.control.deleteVolume('new', { force: false })
          await world.jobsDone()
        }
      }
      expect(crashes).toBeGreaterThanOrEqual(5)
      expect(outcomes.has(false)).toBe(true)
      expect(outcomes.has(true)).toBe(when !== 'before')
    })

    test(`delete: failing ${when} any step ends, after the restart, with all of it gone or there`, async () => {
      let crashes = 0
      for (let at = 1; ; at++) {
        if (!(await expectWhole()).includes('old')) {
          await world.control.createVolume({ name: 'old', sizeBytes: SIZE })
        }
        const died = await dieAt(at, when, () => world.control.deleteVolume('old', { force: false }))
        const there = (await expectWhole()).includes('old')
        if (!died) {
          expect(there).toBe(false)
          break
        }
        // From its first durable step on a deletion never comes to nothing.
        expect(there).toBe(at === 1 && when === 'before')
        crashes++
      }
      expect(crashes).toBeGreaterThanOrEqual(3)
    })
  }

  test('create: what cannot be undone at once is undone once the metadata are there again', async () => {
    let isAway = false
    await world.stop()
    await world.start(store => ({
      ...new Crash(0, 'before').wrap(store),
      transact: async transaction => {
        if (isAway) throw new Error('the metadata are away')
        return store.transact(transaction)
      },
    }))
    world.host.step = what => {
      if (what !== 'create new') return
      isAway = true
      throw new Error('a peer cannot be reached')
    }
    await expect(world.control.createVolume({ name: 'new', sizeBytes: GIB })).rejects.toThrow('be reached')
    expect((await world.store.get(keys.head('new')))?.value.toString()).toContain('"state":"creating"')
    isAway = false
    await expect.poll(() => world.store.get(keys.head('new')), { timeout: 10_000 }).toBeNull()
    expect(await expectWhole()).toEqual(['kept'])
  })

  /** As a peer leaves it that stops while it creates a volume. */
  async function leaveUnfinished(by: string): Promise<void> {
    const entry = (await world.store.get(keys.head('kept')))!
    const ready = decodeValue('volume', entry.key, entry.value)
    const head = { ...ready, uuid: 'u', state: 'creating', pending: { kind: 'create', by } } as const
    const value = encodeValue('volume', head)
    await world.store.transact({ compare: [], success: [{ do: 'put', key: keys.head('new'), value }] })
    // What control does is answered when its catalogue has come so far.
    await world.control.setVolume('kept', { readOnly: !ready.readOnly })
  }

  test('delete: takes what a peer was creating that is gone, or this one has given up', async () => {
    for (const by of ['another', 'peer-1']) {
      await leaveUnfinished(by)
      await world.control.deleteVolume('new', { force: false })
      await world.jobsDone()
      expect(await expectWhole()).toEqual(['kept'])
    }
  })

  test('delete: leaves alone what is being created', async () => {
    const registration = encodeValue('registration', { number: 2 } as RegistrationValue)
    const key = keys.registration('another')
    await world.store.transact({ compare: [], success: [{ do: 'put', key, value: registration }] })
    await leaveUnfinished('another')
    const deleted = () => world.control.deleteVolume('new', { force: true })
    await expect(deleted()).rejects.toMatchObject({ code: 'ERR_VOLUME_NOT_FOUND' })
    await world.store.transact({ compare: [], success: [{ do: 'delete', key }] })
    await deleted()
    await world.jobsDone()
    world.host.step = async what => {
      if (what !== 'create new') return
      await expect(deleted()).rejects.toMatchObject({ code: 'ERR_VOLUME_NOT_FOUND' })
    }
    await world.control.createVolume({ name: 'new', sizeBytes: GIB })
    expect(await expectWhole()).toEqual(['kept', 'new'])
  })

  test('create: a host that fails leaves neither a name nor space behind, without a restart', async () => {
    world.host.step = what => {
      if (what === 'create new') throw new Error('no space')
    }
    await expect(world.control.createVolume({ name: 'new', sizeBytes: GIB })).rejects.toThrow('no space')
    expect(await expectWhole()).toEqual(['kept'])
    world.host.step = () => {}
    await world.control.createVolume({ name: 'new', sizeBytes: GIB })
    expect((await world.store.get(keys.head('new')))?.value.toString()).toContain('"state":"ready"')
  })
})
