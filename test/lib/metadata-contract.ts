import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Compare, MetadataStore, Operation, WatchEvent } from '../../src/metadata/metadata-store.ts'

/** A store under test: empty at first, and made again over the same data. */
export interface StoreUnderTest {
  open(): Promise<MetadataStore>
  /** Frees whatever the store lived on. */
  destroy(): Promise<void>
}

const bytes = (text: string) => Buffer.from(text)
const put = (key: string, value = key, lease?: bigint): Operation => ({
  do: 'put',
  key,
  value: bytes(value),
  ...(lease === undefined ? {} : { lease }),
})
const remove = (key: string): Operation => ({ do: 'delete', key })
const get = (key: string): Operation => ({ do: 'get', key })
const absent = (key: string): Compare => ({ key, target: 'version', is: '=', value: 0n })

function shown(event: WatchEvent): string {
  return event.type === 'put'
    ? `${event.entry.key}=${event.entry.value}@${event.entry.modRevision}`
    : `${event.key} gone@${event.modRevision}`
}

/** Everything a watch says, and promises for how much of it. */
class Recorder {
  readonly calls: { revision: bigint; events: string[] }[] = []
  readonly losses: Error[] = []
  #wake: () => void = () => {}

  changed = (events: readonly WatchEvent[], revision: bigint): void => {
    this.calls.push({ revision, events: events.map(shown) })
    this.#wake()
  }

  lost = (error: Error): void => {
    this.losses.push(error)
    this.#wake()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }
}

/** The claims that every metadata store must meet: etcd v3's semantics as metadata-store.ts states them. */
export function describeMetadataStore(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`metadata store: ${name}`, () => {
    let under: StoreUnderTest
    let store: MetadataStore

    beforeEach(async () => {
      under = await create()
      store = await under.open()
    })
    afterEach(async () => {
      await store[Symbol.asyncDispose]()
      await under.destroy()
    })

    const apply = (...operations: Operation[]) => store.transact({ compare: [], success: operations })

    test('transact: revisions count changes of the whole store, versions those of one key', async () => {
      const first = await apply(put('a', '1'))
      const second = await apply(put('a', '2'), put('b', '1'))
      expect(second.revision).toBe(first.revision + 1n)
      expect(await store.get('a')).toEqual({
        key: 'a',
        value: bytes('2'),
        createRevision: first.revision,
        modRevision: second.revision,
        version: 2n,
        lease: 0n,
      })
      await apply(remove('a'))
      const again = await apply(put('a', '3'))
      expect(await store.get('a')).toMatchObject({ createRevision: again.revision, version: 1n })
    })

    test('transact: what changes nothing has no revision of its own', async () => {
      const { revision } = await apply(put('a'))
      expect((await apply(remove('missing'))).revision).toBe(revision)
      expect((await apply(get('a'))).revision).toBe(revision)
      const failed = await store.transact({ compare: [absent('a')], success: [put('a', 'new')] })
      expect(failed).toMatchObject({ succeeded: false, revision })
    })

    test('transact: the failure branch runs when one comparison fails', async () => {
      await apply(put('a', '1'))
      const result = await store.transact({
        compare: [absent('b'), absent('a')],
        success: [put('c')],
        failure: [get('a'), put('d'), get('c')],
      })
      expect(result.succeeded).toBe(false)
      expect(result.found.map(entry => entry?.value.toString() ?? null)).toEqual(['1', null, null])
      expect(await store.get('c')).toBeNull()
      expect(await store.get('d')).not.toBeNull()
    })

    test('transact: every comparison is the standard one, and a missing key counts as zero', async () => {
      const { revision } = await apply(put('a', 'x'))
      const holds = async (compare: Compare) =>
        (await store.transact({ compare: [compare], success: [] })).succeeded
      expect(await holds({ key: 'a', target: 'modRevision', is: '=', value: revision })).toBe(true)
      expect(await holds({ key: 'a', target: 'modRevision', is: '>', value: revision })).toBe(false)
      expect(await holds({ key: 'a', target: 'modRevision', is: '<', value: revision + 1n })).toBe(true)
      expect(await holds({ key: 'a', target: 'version', is: '!=', value: 1n })).toBe(false)
      expect(await holds({ key: 'a', target: 'value', is: '=', value: bytes('x') })).toBe(true)
      expect(await holds({ key: 'a', target: 'value', is: '!=', value: bytes('x') })).toBe(false)
      expect(await holds({ key: 'none', target: 'modRevision', is: '=', value: 0n })).toBe(true)
      expect(await holds({ key: 'none', target: 'value', is: '!=', value: bytes('x') })).toBe(false)
    })

    test('transact: a get sees what the same transaction put before it', async () => {
      const { found } = await apply(get('a'), put('a', 'new'), get('a'))
      expect(found[0]).toBeNull()
      expect(found[2]?.value.toString()).toBe('new')
    })

    test('transact: a key put twice, or put and deleted, is refused whole', async () => {
      for (const operations of [
        [put('a', '1'), put('a', '2')],
        [put('a'), remove('a')],
        [put('a/b'), { do: 'deletePrefix', prefix: 'a/' } as const],
      ]) {
        await expect(apply(...operations)).rejects.toMatchObject({ code: 'ERR_ARGUMENT_INVALID' })
      }
      expect((await store.range('')).entries).toEqual([])
      await apply(put('a'), { do: 'deletePrefix', prefix: 'b' }, remove('b'))
    })

    test('transact: 128 operations and 128 comparisons pass, one more is refused', async () => {
      const many = (count: number) => Array.from({ length: count }, (_, at) => put(`k${at}`))
      const compares = (count: number) => Array.from({ length: count }, (_, at) => absent(`n${at}`))
      await store.transact({ compare: compares(128), success: many(128) })
      await expect(apply(...many(129))).rejects.toMatchObject({ code: 'ERR_ARGUMENT_INVALID' })
      await expect(store.transact({ compare: compares(129), success: [] })).rejects.toMatchObject({
        code: 'ERR_ARGUMENT_INVALID',
      })
    })

    test('transact: of many that compare the same revision exactly one wins', async () => {
      const { revision } = await apply(put('a', '0'))
      const compare: Compare[] = [{ key: 'a', target: 'modRevision', is: '=', value: revision }]
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, at) => store.transact({ compare, success: [put('a', `w${at}`)] })),
      )
      const winners = results.flatMap((result, at) => (result.succeeded ? [`w${at}`] : []))
      expect(winners).toHaveLength(1)
      expect((await store.get('a'))?.value.toString()).toBe(winners[0])
    })

    test('range: keys come in byte order, in pages that startAfter continues', async () => {
      await apply(put('v/b'), put('v/a'), put('v/ä'), put('v/a/x'), put('w'), put('u'))
      expect((await store.range('v/')).entries.map(entry => entry.key)).toEqual([
        'v/a',
        'v/a/x',
        'v/b',
        'v/ä',
      ])
      const first = await store.range('v/', { limit: 3 })
      expect(first).toMatchObject({ more: true, entries: [{ key: 'v/a' }, { key: 'v/a/x' }, { key: 'v/b' }] })
      const rest = await store.range('v/', { limit: 3, startAfter: 'v/b' })
      expect(rest).toMatchObject({ more: false, entries: [{ key: 'v/ä' }] })
      expect((await store.range('v/', { startAfter: 'a' })).entries).toHaveLength(4)
      expect((await store.range('v/', { limit: 4 })).more).toBe(false)
    })

    test('deletePrefix: takes exactly the keys that start with it, in one revision', async () => {
      await apply(put('v/a'), put('v/a/1'), put('v/a/2'), put('v/b'))
      const { revision } = await apply({ do: 'deletePrefix', prefix: 'v/a/' })
      expect((await store.range('')).entries.map(entry => entry.key)).toEqual(['v/a', 'v/b'])
      expect((await store.range('')).revision).toBe(revision)
    })

    test('watch: history first, then what follows, each revision whole, once and in order', async () => {
      const { revision } = await apply(put('a', '1'))
      await apply(put('a', '2'), put('x'), put('b', '1'))
      await apply(put('x', 'other'))
      const recorder = new Recorder()
      const watching = store.watch('a', revision, recorder)
      const all = store.watch('', revision + 1n, new Recorder())
      await apply(remove('a'))
      await watching
      await apply(put('a', '3'), put('a/b', '4'))
      await recorder.until(() => recorder.calls.length >= 4)
      expect(recorder.calls).toEqual([
        { revision, events: [`a=1@${revision}`] },
        { revision: revision + 1n, events: [`a=2@${revision + 1n}`] },
        { revision: revision + 3n, events: [`a gone@${revision + 3n}`] },
        { revision: revision + 4n, events: [`a=3@${revision + 4n}`, `a/b=4@${revision + 4n}`] },
      ])
      await (await watching)[Symbol.asyncDispose]()
      await (await all)[Symbol.asyncDispose]()
    })

    test('watch: a long history with writes going on misses nothing and repeats nothing', async () => {
      const { revision } = await apply(put('n', 'start'))
      for (let at = 0; at < 11; at++) {
        await Promise.all(Array.from({ length: 100 }, (_, n) => apply(put('n', `${at}.${n}`))))
      }
      const recorder = new Recorder()
      await using _watch = await store.watch('n', revision + 1n, recorder)
      for (let n = 0; n < 100; n++) await apply(put('n', `late ${n}`))
      await recorder.until(() => recorder.calls.length >= 1200)
      const expected = Array.from({ length: 1200 }, (_, at) => revision + 1n + BigInt(at))
      expect(recorder.calls.map(call => call.revision)).toEqual(expected)
    })

    test('watch: after it was disposed of its listener hears nothing', async () => {
      const recorder = new Recorder()
      const watch = await store.watch('', 0n, recorder)
      await apply(put('a'))
      await recorder.until(() => recorder.calls.length === 1)
      await watch[Symbol.asyncDispose]()
      const other = new Recorder()
      await using _other = await store.watch('', 0n, other)
      await apply(put('b'))
      await other.until(() => other.calls.length === 1)
      expect(recorder.calls).toHaveLength(1)
    })

    test('compact: a watch from before it is lost, one from it on is not', async () => {
      const { revision } = await apply(put('a', '1'))
      await apply(put('a', '2'))
      await apply(put('a', '3'))
      await store.compact(revision + 1n)
      await store.compact(revision)
      const early = new Recorder()
      const late = new Recorder()
      await using _early = await store.watch('a', revision, early)
      await using _late = await store.watch('a', revision + 1n, late)
      await early.until(() => early.losses.length === 1)
      await late.until(() => late.calls.length === 2)
      expect(early.calls).toEqual([])
      expect(late.calls.map(call => call.revision)).toEqual([revision + 1n, revision + 2n])
      expect(await store.get('a')).toMatchObject({ version: 3n, createRevision: revision })
    })

    test('compact: a revision of the future is refused', async () => {
      const { revision } = await apply(put('a'))
      await expect(store.compact(revision + 1n)).rejects.toMatchObject({ code: 'ERR_ARGUMENT_INVALID' })
    })

    test('lease: revoking it deletes its keys in one revision and leaves the others', async () => {
      const lease = await store.grantLease(60)
      const { revision } = await apply(put('a', '1', lease), put('b', '1', lease), put('c'))
      expect(await store.get('a')).toMatchObject({ lease })
      await apply(put('b', 'let go'))
      const recorder = new Recorder()
      await using _watch = await store.watch('', revision + 2n, recorder)
      await apply(put('d', '1', lease))
      await store.revokeLease(lease)
      await recorder.until(() => recorder.calls.length === 2)
      const last = revision + 3n
      expect(recorder.calls[1]).toEqual({ revision: last, events: [`a gone@${last}`, `d gone@${last}`] })
      expect((await store.range('')).entries.map(entry => entry.key)).toEqual(['b', 'c'])
    })

    test('lease: one that is gone keeps nothing alive and takes no key', async () => {
      const lease = await store.grantLease(60)
      expect(await store.keepLeaseAlive(lease)).toBeGreaterThanOrEqual(60)
      await store.revokeLease(lease)
      await store.revokeLease(lease)
      expect(await store.keepLeaseAlive(lease)).toBe(0)
      await expect(apply(put('x'), put('a', '1', lease))).rejects.toMatchObject({
        code: 'ERR_METADATA_LEASE',
      })
      expect(await store.get('x')).toBeNull()
    })

    test('restart: keys, revisions, history and leases are as they were', async () => {
      const lease = await store.grantLease(60)
      const { revision } = await apply(put('a', '1', lease))
      await apply(put('b', '1'))
      await store[Symbol.asyncDispose]()
      store = await under.open()
      expect(await store.get('a')).toMatchObject({ modRevision: revision, lease })
      expect((await store.range('')).revision).toBe(revision + 1n)
      const recorder = new Recorder()
      await using _watch = await store.watch('', revision, recorder)
      await recorder.until(() => recorder.calls.length === 2)
      expect((await apply(put('c'))).revision).toBe(revision + 2n)
      expect(await store.keepLeaseAlive(lease)).toBeGreaterThanOrEqual(60)
    })
  })
}
