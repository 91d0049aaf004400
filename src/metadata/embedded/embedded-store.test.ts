import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeMetadataStore } from '../../../test/lib/metadata-contract.ts'
import { ManualClock } from '../../../test/lib/metadata-contract-clock.ts'
import type { MetadataStore } from '../metadata-store.ts'
import { openEmbeddedStore } from './embedded-store.ts'
import { metaKey } from './tables.ts'

const newDirectory = () => mkdtemp(join(tmpdir(), 'holdfast-metadata-'))
const removeDirectory = (directory: string) => rm(directory, { recursive: true, force: true })

describeMetadataStore('embedded', async () => {
  const directory = await newDirectory()
  return {
    open: () => openEmbeddedStore({ directory }),
    destroy: () => removeDirectory(directory),
  }
})

describe('embedded metadata store', () => {
  let directory: string
  let clock: ManualClock
  let store: MetadataStore
  const reopen = async () => {
    store = await openEmbeddedStore({ directory, clock, historyRevisions: 50 })
  }
  const put = (key: string, lease = 0n) =>
    store.transact({ compare: [], success: [{ do: 'put', key, value: Buffer.from(key), lease }] })

  beforeEach(async () => {
    directory = await newDirectory()
    clock = new ManualClock()
    await reopen()
  })
  afterEach(async () => {
    await store[Symbol.asyncDispose]()
    await removeDirectory(directory)
  })

  /** Resolves with the revision in which `key` goes. */
  async function gone(key: string): Promise<bigint> {
    return new Promise((resolve, reject) => {
      store
        .watch(key, 0n, {
          changed: (events, revision) => events.some(event => event.type === 'delete') && resolve(revision),
          lost: reject,
        })
        .catch(reject)
    })
  }

  test('lease: its keys go in one revision when its time is over, and not before', async () => {
    const lease = await store.grantLease(5)
    await put('a', lease)
    await put('b', lease)
    clock.advance(4999)
    expect(await store.keepLeaseAlive(lease)).toBe(5)
    clock.advance(4999)
    expect(await store.get('a')).not.toBeNull()
    const deleted = Promise.all([gone('a'), gone('b')])
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(1)
    const [a, b] = await deleted
    expect(a).toBe(b)
    expect(await store.keepLeaseAlive(lease)).toBe(0)
  })

  test('lease: after a restart its time starts afresh', async () => {
    const lease = await store.grantLease(5)
    await put('a', lease)
    clock.advance(4000)
    await store[Symbol.asyncDispose]()
    await reopen()
    clock.advance(4999)
    expect(await store.keepLeaseAlive(lease)).toBe(5)
  })

  test('history: it is compacted by itself, and values stay', async () => {
    const first = await put('a')
    for (let n = 0; n < 120; n++) await put('b')
    const watched = new Promise(resolve => {
      store.watch('', first.revision, { changed: () => {}, lost: resolve }).catch(resolve)
    })
    expect(await watched).toMatchObject({ code: 'ERR_METADATA_UNAVAILABLE' })
    expect(await store.get('a')).toMatchObject({ version: 1n })
  })

  test('transact: a key or a value that is too long is refused before anything is written', async () => {
    await expect(put('k'.repeat(1025))).rejects.toMatchObject({ code: 'ERR_ARGUMENT_INVALID' })
    const value = Buffer.alloc(1024 * 1024 + 1)
    await expect(
      store.transact({ compare: [], success: [{ do: 'put', key: 'a', value }] }),
    ).rejects.toMatchObject({ code: 'ERR_ARGUMENT_INVALID' })
    await put('k'.repeat(1024))
    expect((await store.range('')).entries).toHaveLength(1)
  })

  test('transact: the store keeps its own copy of a value', async () => {
    const value = Buffer.from('before')
    const events: string[] = []
    await store.watch('', 0n, {
      changed: changes => events.push(...changes.map(c => (c.type === 'put' ? `${c.entry.value}` : ''))),
      lost: () => {},
    })
    await new Promise(resolve => setImmediate(resolve))
    const done = store.transact({ compare: [], success: [{ do: 'put', key: 'a', value }] })
    await done
    value.fill('x')
    expect((await store.get('a'))?.value.toString()).toBe('before')
    expect(events).toEqual(['before'])
  })

  test('close: calls afterwards are refused, and closing twice is nothing', async () => {
    await store[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await expect(store.get('a')).rejects.toMatchObject({ code: 'ERR_METADATA_UNAVAILABLE' })
    await expect(put('a')).rejects.toMatchObject({ code: 'ERR_METADATA_UNAVAILABLE' })
  })

  test('open: a second daemon is refused while the first has it', async () => {
    await expect(openEmbeddedStore({ directory })).rejects.toMatchObject({
      code: 'ERR_METADATA_LOCKED',
      message: expect.stringContaining(directory),
    })
    await store[Symbol.asyncDispose]()
    await reopen()
  })

  test('open: a file that is no database any more is refused by name', async () => {
    await store[Symbol.asyncDispose]()
    const file = join(directory, 'data.mdb')
    const bytes = await readFile(file)
    bytes.fill(0xff, 0, 4096)
    await writeFile(file, bytes)
    await expect(openEmbeddedStore({ directory })).rejects.toMatchObject({
      code: 'ERR_METADATA_FORMAT',
      message: `the metadata in ${directory} is damaged: data.mdb is not a database`,
    })
  })

  test('open: a newer format and a foreign database are refused by name', async () => {
    await store[Symbol.asyncDispose]()
    const db = open<Buffer, Buffer>({
      path: directory,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
    })
    await db.put(metaKey('format'), Buffer.from('holdfast-metadata 2'))
    await expect(openEmbeddedStore({ directory })).rejects.toMatchObject({
      code: 'ERR_METADATA_FORMAT',
      message: expect.stringContaining('format 2'),
    })
    await db.remove(metaKey('format'))
    await db.put(Buffer.from('foreign'), Buffer.from('value'))
    await expect(openEmbeddedStore({ directory })).rejects.toMatchObject({ code: 'ERR_METADATA_FORMAT' })
    await db.close()
  })
})
