import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EtcdServer, etcdMissing } from '../../../test/lib/etcd-server.ts'
import { describeMetadataStore } from '../../../test/lib/metadata-contract.ts'
import type { MetadataStore, WatchEvent } from '../metadata-store.ts'
import { EtcdKeys } from './etcd-codec.ts'
import { EtcdEndpoints } from './etcd-endpoints.ts'
import { openEtcdStore } from './etcd-store.ts'
import { EtcdWatch } from './etcd-watch.ts'

const missing = etcdMissing()
if (missing !== null) console.log(`skipped: metadata store on etcd: ${missing}`)

describe.skipIf(missing !== null)('etcd', () => {
  let server: EtcdServer
  let stores = 0
  beforeAll(async () => {
    server = await EtcdServer.create()
  })
  afterAll(() => server?.destroy())

  const open = (keyPrefix: string) => openEtcdStore({ endpoints: [server.endpoint], keyPrefix })
  const put = (store: MetadataStore, key: string) =>
    store.transact({ compare: [], success: [{ do: 'put', key, value: Buffer.from(key) }] })

  const recorder = (said: (string | boolean)[]) => ({
    changed: (events: readonly WatchEvent[]) =>
      said.push(...events.map(event => (event.type === 'put' ? event.entry.key : ''))),
    lost: (error: Error) => said.push(error.message),
    connected: (is: boolean) => said.push(is),
  })
  const disposableServer = async () => {
    const one = await EtcdServer.create()
    return { server: one, [Symbol.asyncDispose]: () => one.destroy() }
  }

  describeMetadataStore('etcd', async () => {
    const keyPrefix = `test-${++stores}/`
    return { open: async () => open(keyPrefix), destroy: async () => {} }
  })

  test('etcd: a watch outlives a restart of etcd and misses nothing', async () => {
    await using store = open('restart/')
    const revisions: bigint[] = []
    const { revision } = await put(store, 'a')
    await using _watch = await store.watch('', revision, {
      changed: (_, at) => revisions.push(at),
      lost: error => expect.unreachable(error.message),
    })
    await put(store, 'b')
    await server.stop()
    await expect(put(store, 'c')).rejects.toMatchObject({ code: 'ERR_METADATA_UNAVAILABLE' })
    await server.start()
    await expect.poll(() => put(store, 'd').then(() => 'done', String), { timeout: 10_000 }).toBe('done')
    const { entries } = await store.range('')
    const expected = entries.map(entry => entry.modRevision).sort((a, b) => Number(a - b))
    await expect.poll(() => revisions.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(expected.length)
    expect(revisions).toEqual([...new Set(revisions)])
    for (const one of expected) expect(revisions).toContain(one)
  })

  test('etcd: a watch that has told more than a restored etcd holds is lost', async () => {
    await using restored = await disposableServer()
    await using store = openEtcdStore({ endpoints: [restored.server.endpoint], keyPrefix: 'old/' })
    const { revision } = await put(store, 'a')
    await restored.server.stop()
    await restored.server.backUp()
    await restored.server.start()
    const said: (string | boolean)[] = []
    await using _watch = await store.watch('', revision, recorder(said))
    const settled = { timeout: 10_000 }
    for (const key of ['b', 'c']) {
      await expect.poll(() => put(store, key).then(() => 'done', String), settled).toBe('done')
    }
    await expect.poll(() => said, settled).toContain('c')
    await restored.server.stop()
    await restored.server.restore()
    await restored.server.start()
    await expect.poll(() => said.at(-1), settled).toMatch('it was restored')
  })

  test('etcd: a watch on a member without a leader knows that it is cut off', async () => {
    const [here, other] = await EtcdServer.createCluster(2)
    try {
      await using store = openEtcdStore({ endpoints: [here!.endpoint] })
      const said: (string | boolean)[] = []
      await using _watch = await store.watch('', 0n, recorder(said))
      await expect.poll(() => said, { timeout: 10_000 }).toEqual([true])
      await other!.stop()
      await expect.poll(() => said.slice(0, 2), { timeout: 10_000 }).toEqual([true, false])
    } finally {
      await Promise.all([here!.destroy(), other!.destroy()])
    }
  })

  test('etcd: watches follow the calls to another member, and miss nothing', async () => {
    await using store = open('move/')
    const endpoints = new EtcdEndpoints({
      endpoints: [server.endpoint, server.endpoint.replace('127.0.0.1', 'localhost')],
    })
    const { revision } = await put(store, 'a')
    const said: (string | boolean)[] = []
    const keys = new EtcdKeys('move/')
    const watch = new EtcdWatch(endpoints, keys, '', revision, recorder(said), () => {})
    await expect.poll(() => said).toEqual([true, 'a'])
    endpoints.preferNext(endpoints.preferred)
    await put(store, 'b')
    await expect.poll(() => said).toEqual([true, 'a', false, true, 'b'])
    await watch[Symbol.asyncDispose]()
    endpoints.close()
  })

  test('etcd: a member that does not answer costs one failed call, then another is asked', async () => {
    await using store = openEtcdStore({ endpoints: ['127.0.0.1:1', server.endpoint], keyPrefix: 'two/' })
    expect(await store.get('a')).toBeNull()
    await put(store, 'a')
    expect((await store.range('')).entries).toHaveLength(1)
    await using nobody = openEtcdStore({ endpoints: ['127.0.0.1:1'], keyPrefix: 'none/' })
    const asked = nobody.get('a').then(String, (error: Error) => error.message)
    expect(await asked).toMatch(/^etcd does not answer: (?!.*(?:UNAVAILABLE|Resolution note|null))/)
  })

  test('etcd: a range of more keys than one page is of one revision', async () => {
    await using store = open('many/')
    for (let page = 0; page < 9; page++) {
      const success = Array.from({ length: 128 }, (_, at) => {
        const key = `k${String(page * 128 + at).padStart(5, '0')}`
        return { do: 'put', key, value: Buffer.from(key) } as const
      })
      await store.transact({ compare: [], success })
    }
    const all = await store.range('')
    expect(all.entries.map(entry => entry.key)).toEqual(
      Array.from({ length: 1152 }, (_, at) => `k${String(at).padStart(5, '0')}`),
    )
    expect(all.more).toBe(false)
    expect(await store.range('', { limit: 700 })).toMatchObject({ more: true, entries: { length: 700 } })
  })
})
