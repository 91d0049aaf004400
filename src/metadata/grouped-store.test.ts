import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeMetadataStore } from '../../test/lib/metadata-contract.ts'
import { type TemporaryDirectory, temporaryDirectory } from '../../test/lib/temporary-directory.ts'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { openEmbeddedStore } from './embedded/embedded-store.ts'
import { GroupedStore } from './grouped-store.ts'
import { type MetadataStore, TRANSACTION_OPERATIONS_MAX, type Transaction } from './metadata-store.ts'

describeMetadataStore('grouped', async () => {
  const directory = temporaryDirectory('grouped')
  return {
    open: async () => new GroupedStore(await openEmbeddedStore({ directory: directory.path })),
    destroy: async () => directory[Symbol.dispose](),
  }
})

describe('grouped store', () => {
  let directory: TemporaryDirectory
  let store: MetadataStore
  let sent: Transaction[]
  let asked: string[]
  let fails: boolean
  let grouped: MetadataStore
  beforeEach(async () => {
    directory = temporaryDirectory('grouped')
    store = await openEmbeddedStore({ directory: directory.path })
    sent = []
    asked = []
    fails = false
    grouped = new GroupedStore(observed())
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    directory[Symbol.dispose]()
  })

  const observed = (): MetadataStore =>
    new Proxy(store, {
      get(target, name) {
        const found = Reflect.get(target, name)
        if (name === 'transact') {
          return async (transaction: Transaction) => {
            sent.push(transaction)
            const result = await target.transact(transaction)
            if (fails) throw new HoldfastError('ERR_METADATA_UNAVAILABLE')
            return result
          }
        }
        if (name === 'range') {
          return (prefix: string, options: object) => {
            asked.push(prefix)
            return target.range(prefix, options)
          }
        }
        return typeof found === 'function' ? found.bind(target) : found
      },
    })
  /** Puts `value` when the key is as it was at `revision`, else wants to know what it is. */
  const change = (key: string, revision: bigint, value = 'new', lease = 0n): Transaction => ({
    compare: [{ key, target: 'modRevision', is: '=', value: revision }],
    success: [{ do: 'put', key, value: Buffer.from(value), lease }],
    failure: [{ do: 'get', key }],
  })
  const all = (transactions: readonly Transaction[]) =>
    Promise.all(transactions.map(each => grouped.transact(each)))
  const textOf = async (key: string) => (await store.get(key))?.value.toString()

  test('what is asked for in one turn is one transaction, and each is told its own part', async () => {
    const results = await all([change('a', 0n), change('b', 0n), change('c', 0n)])
    expect(sent).toHaveLength(1)
    expect(results).toEqual(results.map(() => ({ succeeded: true, revision: 2n, found: [null] })))
    expect([await textOf('a'), await textOf('b'), await textOf('c')]).toEqual(['new', 'new', 'new'])
  })

  test('the comparison of one fails: it learns what there is, and the others are done', async () => {
    await store.transact(change('b', 0n, 'of another'))
    const [a, b, c] = await all([change('a', 0n), change('b', 0n), change('c', 0n)])
    expect([a!.succeeded, b!.succeeded, c!.succeeded]).toEqual([true, false, true])
    expect(b!.found[0]?.value.toString()).toBe('of another')
    expect([await textOf('a'), await textOf('b'), await textOf('c')]).toEqual(['new', 'of another', 'new'])
    expect(sent).toHaveLength(2)
  })

  test('those that have a key in common go one after the other', async () => {
    const [first, second] = await all([change('a', 0n, 'first'), change('a', 0n, 'second')])
    expect([first!.succeeded, second!.succeeded]).toEqual([true, false])
    expect(second!.found[0]?.value.toString()).toBe('first')
  })

  test('one that changes something when it fails goes alone', async () => {
    const failure = [{ do: 'put', key: 'other', value: Buffer.from('instead') }] as const
    await all([{ ...change('a', 9n), failure }, change('b', 0n)])
    expect(sent).toHaveLength(2)
    expect([await textOf('a'), await textOf('other'), await textOf('b')]).toEqual([
      undefined,
      'instead',
      'new',
    ])
  })

  test('more than fit into one transaction are several', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `key-${i}`)
    const results = await all(keys.map(key => change(key, 0n)))
    expect(results.every(({ succeeded }) => succeeded)).toBe(true)
    expect(sent.length).toBeLessThan(10)
    for (const { compare, success, failure } of sent) {
      const longest = Math.max(compare.length, success.length, failure!.length)
      expect(longest).toBeLessThanOrEqual(TRANSACTION_OPERATIONS_MAX)
    }
  })

  test('without an answer the outcome of all of a group is unknown', async () => {
    fails = true
    const results = await Promise.allSettled(
      [change('a', 0n), change('b', 0n)].map(one => grouped.transact(one)),
    )
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect([await textOf('a'), await textOf('b')]).toEqual(['new', 'new'])
  })

  test('a lease that is gone refuses only those that name it', async () => {
    const [a, b] = await Promise.allSettled([
      grouped.transact(change('a', 0n, 'new', 77n)),
      grouped.transact(change('b', 0n)),
    ])
    expect(a).toMatchObject({ status: 'rejected', reason: { code: 'ERR_METADATA_LEASE' } })
    expect(b).toMatchObject({ status: 'fulfilled', value: { succeeded: true } })
  })

  test('keys that are asked for in one turn are read together', async () => {
    await all([change('a', 0n), change('b', 0n)])
    sent = []
    const entries = await Promise.all(['a', 'b', 'missing', 'a'].map(key => grouped.get(key)))
    expect(entries.map(entry => entry?.key)).toEqual(['a', 'b', undefined, 'a'])
    expect(sent).toHaveLength(1)
  })

  test('one prefix that many ask for in one turn is read once', async () => {
    await all([change('p/a', 0n), change('q/b', 0n)])
    const found = await Promise.all(['p/', 'p/', 'q/', 'p/'].map(prefix => grouped.range(prefix)))
    expect(found.map(({ entries }) => entries.map(({ key }) => key))).toEqual([
      ['p/a'],
      ['p/a'],
      ['q/b'],
      ['p/a'],
    ])
    expect(asked).toEqual(['p/', 'q/'])
  })
})
