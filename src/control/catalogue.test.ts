import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { silentLog } from '../../test/lib/control-world.ts'
import { openEmbeddedStore } from '../metadata/embedded/embedded-store.ts'
import type { MetadataStore, RangeResult, WatchListener } from '../metadata/metadata-store.ts'
import { Catalogue } from './catalogue.ts'
import { encodeValue, keys } from './layout.ts'
import { newTarget } from './volume-operations.ts'

const IQN = 'iqn.2026-11.io.holdfast:'

describe('catalogue', () => {
  let directory: string
  let store: MetadataStore
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-catalogue-'))
    store = await openEmbeddedStore({ directory })
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })

  async function putTarget(name: string, acl: string[] = []): Promise<bigint> {
    const value = encodeValue('target', { ...newTarget('2026-11-21T00:00:00.000Z'), acl })
    const { revision } = await store.transact({
      compare: [],
      success: [{ do: 'put', key: keys.target(IQN + name), value }],
    })
    return revision
  }

  async function deleteTarget(name: string): Promise<bigint> {
    const { revision } = await store.transact({
      compare: [],
      success: [{ do: 'delete', key: keys.target(IQN + name) }],
    })
    return revision
  }

  /** The store, with some of its calls replaced. */
  function withCalls(calls: Partial<MetadataStore>): MetadataStore {
    return new Proxy(store, {
      get: (target, name) => {
        const own = (calls as Record<PropertyKey, unknown>)[name]
        if (own !== undefined) return own
        const value = Reflect.get(target, name) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }

  test('load: a change between two pages of the load is neither missed nor undone', async () => {
    for (let at = 0; at < 620; at++) await putTarget(`t${String(at).padStart(4, '0')}`)
    let pages = 0
    const changing = withCalls({
      async range(prefix, options): Promise<RangeResult> {
        const page = await store.range(prefix, options)
        if (++pages === 1) {
          await deleteTarget('t0001')
          await putTarget('t0002', ['early'])
          await putTarget('t0600', ['late'])
          await putTarget('a-new-one')
        }
        return page
      },
    })
    await using catalogue = await Catalogue.open(changing, silentLog)
    expect(pages).toBeGreaterThan(1)
    const { model } = catalogue
    expect(model.targetNames).toHaveLength(620)
    expect(model.target(`${IQN}t0001`)).toBeNull()
    expect(model.target(`${IQN}t0002`)?.acl).toEqual(['early'])
    expect(model.target(`${IQN}t0600`)?.acl).toEqual(['late'])
    expect(model.target(`${IQN}a-new-one`)).not.toBeNull()
  })

  test('watch: listeners hear what changed, and reached() waits for it', async () => {
    await using catalogue = await Catalogue.open(store, silentLog)
    const heard: string[] = []
    const stop = catalogue.onChange(change => heard.push(...change.targets))
    await catalogue.reached(await putTarget('a'))
    await catalogue.reached(await deleteTarget('a'))
    stop()
    await catalogue.reached(await putTarget('b'))
    expect(heard).toEqual([`${IQN}a`, `${IQN}a`])
  })

  test('lost watch: nothing is current until everything was read again, deletions included', async () => {
    let listener: WatchListener | null = null
    let ranges = 0
    const flaky = withCalls({
      watch(prefix, revision, given) {
        listener ??= given
        // The first watch hears nothing but its end.
        const deaf = given === listener ? { changed: () => {}, lost: given.lost.bind(given) } : given
        return store.watch(prefix, revision, deaf)
      },
      async range(prefix, options) {
        if (++ranges === 2) throw new Error('still away')
        return store.range(prefix, options)
      },
    })
    await putTarget('gone')
    await using catalogue = await Catalogue.open(flaky, silentLog)
    expect(catalogue.current).toBe(true)
    await deleteTarget('gone')
    const revision = await putTarget('new')
    expect(catalogue.model.targetNames).toEqual([`${IQN}gone`])
    ;(listener as WatchListener | null)?.lost(new Error('compacted'))
    expect(catalogue.current).toBe(false)
    await catalogue.reached(revision)
    expect(catalogue.current).toBe(true)
    expect(catalogue.model.targetNames).toEqual([`${IQN}new`])
    expect(ranges).toBe(3)
  })

  test('while changes cannot come nothing is concluded from what is missing', async () => {
    let listener: WatchListener | null = null
    let isSilent = false
    const cut = withCalls({
      watch(prefix, revision, given) {
        listener = given
        return store.watch(prefix, revision, given)
      },
      async get(key) {
        if (isSilent) throw new Error('away')
        return store.get(key)
      },
    })
    await putTarget('here')
    await using catalogue = await Catalogue.open(cut, silentLog)
    const absent = () => Promise.all(['here', 'none'].map(name => catalogue.isAbsent(`t/${IQN}${name}`)))
    expect([catalogue.complete, await absent()]).toEqual([true, [false, true]])
    isSilent = true
    ;(listener as WatchListener | null)?.connected?.(false)
    expect([catalogue.current, catalogue.complete, await absent()]).toEqual([true, false, [false, false]])
    ;(listener as WatchListener | null)?.connected?.(true)
    expect(catalogue.complete).toBe(true)
  })

  test('open: a value of a newer format is refused by its key', async () => {
    const value = Buffer.from('holdfast target 2\n{}')
    const key = keys.target(`${IQN}future`)
    await store.transact({ compare: [], success: [{ do: 'put', key, value }] })
    await expect(Catalogue.open(store, silentLog)).rejects.toMatchObject({
      code: 'ERR_METADATA_FORMAT',
      message: expect.stringContaining(`'${key}' has format 2`),
    })
  })
})
