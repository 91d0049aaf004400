import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type TemporaryDirectory, temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { openEmbeddedStore } from './embedded/embedded-store.ts'
import type { MetadataStore, Transaction, TransactionResult } from './metadata-store.ts'
import { SettledStore } from './settled-store.ts'

/** What becomes of the next transactions: carried out and the answer lost, lost on the way, or only delayed. */
type Fate = 'answer lost' | 'request lost' | 'late'

describe('settled outcomes', () => {
  let store: MetadataStore
  let directory: TemporaryDirectory
  let fates: Fate[]
  let late: (() => Promise<TransactionResult>)[]
  let nowMs: number
  beforeEach(async () => {
    directory = temporaryDirectory('settled')
    store = await openEmbeddedStore({ directory: directory.path })
    fates = []
    late = []
    nowMs = 0
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  const lossy = (): MetadataStore =>
    new Proxy(store, {
      get(target, name) {
        const found = Reflect.get(target, name)
        if (name !== 'transact') return typeof found === 'function' ? found.bind(target) : found
        return async (transaction: Transaction) => {
          const fate = fates.shift()
          if (fate === 'late') late.push(() => target.transact(transaction))
          const result =
            fate === undefined || fate === 'answer lost' ? await target.transact(transaction) : null
          if (fate !== undefined || result === null) throw new HoldfastError('ERR_METADATA_UNAVAILABLE')
          return result
        }
      },
    })
  const settled = (processId = 'me') =>
    new SettledStore({
      store: lossy(),
      attemptKey: 'x/me',
      processId,
      nowMs: () => nowMs,
      sleep: async ms => {
        nowMs += ms
      },
    })
  const create = (key: string): Transaction => ({
    compare: [{ key, target: 'version', is: '=', value: 0n }],
    success: [{ do: 'put', key, value: Buffer.from(key) }],
  })

  test('a transaction whose answer was lost counts as what it was, and is not done twice', async () => {
    const mine = settled()
    fates = ['answer lost']
    const { succeeded, revision } = await mine.transact(create('a'))
    expect(succeeded).toBe(true)
    expect(await store.get('a')).toMatchObject({ version: 1n, modRevision: revision })
    expect((await mine.transact(create('a'))).succeeded).toBe(false)
  })

  test('a transaction that never arrived is done again', async () => {
    fates = ['request lost']
    expect((await settled().transact(create('a'))).succeeded).toBe(true)
    expect((await store.get('a'))?.version).toBe(1n)
  })

  test('a transaction that is still under way cannot take effect any more once it was given up', async () => {
    const mine = settled()
    const put: Transaction = { compare: [], success: [{ do: 'put', key: 'a', value: Buffer.from('old') }] }
    fates = ['late']
    await mine.transact(put)
    await mine.transact({ compare: [], success: [{ do: 'put', key: 'a', value: Buffer.from('new') }] })
    for (const arrive of late) expect((await arrive()).succeeded).toBe(false)
    expect((await store.get('a'))?.value.toString()).toBe('new')
  })

  test('overtaking is itself tried again when its answer is lost', async () => {
    fates = ['late', 'answer lost', 'late', 'request lost']
    expect((await settled().transact(create('a'))).succeeded).toBe(true)
    for (const arrive of late) expect((await arrive()).succeeded).toBe(false)
  })

  test('a store that stays silent is reported, in bounded time', async () => {
    fates = Array.from({ length: 1000 }, () => 'request lost')
    await expect(settled().transact(create('a'))).rejects.toMatchObject({ code: 'ERR_METADATA_UNAVAILABLE' })
    expect(nowMs).toBeLessThan(60_000)
    expect(await store.get('a')).toBeNull()
  })

  test('an earlier process under the same key, and concurrent callers, cost a retry and no outcome', async () => {
    await settled('before').transact(create('a'))
    const mine = settled('after')
    const all = await Promise.all(['b', 'c', 'd', 'b'].map(key => mine.transact(create(key))))
    expect(all.map(({ succeeded }) => succeeded)).toEqual([true, true, true, false])
    await settled('another').transact(create('e'))
    expect((await mine.transact(create('f'))).succeeded).toBe(true)
  })
})
